#!/usr/bin/env node
import { createProgram } from './program.ts';

// The reader of the output may end first, as `head` does; the command still does its work.
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const program = await createProgram(process.argv[2] ?? '');
await program.parseAsync();
