import { defineConfig } from 'tsdown';

/** Every entry is built from the worker's own sources: one implementation of schemas, codes and operations. */
export default defineConfig({
  entry: {
    client: '../../src/client/client.ts',
    'direct-client': '../../src/direct-client/direct-client.ts',
    enqueue: '../../src/direct-client/enqueue.ts',
  },
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  dts: true,
  fixedExtension: false,
  // Node's own modules; packages stay outside because package.json names them.
  deps: { neverBundle: [/^node:/] },
});
