import { exitCodes } from '../../domain/exit-codes.ts';

/** Prints one finding of `doctor`. A bad one ends the command with exit code 1. */
export function say(isGood: boolean, sentence: string): void {
  console.log(`${isGood ? 'ok ' : '!! '} ${sentence}`);
  if (!isGood) process.exitCode = exitCodes.fault;
}

/** Prints a note for the operator. It is not a fault, so the exit code stays. */
export function note(sentence: string): void {
  console.log(`??  ${sentence}`);
}
