import { z } from 'zod';
import { type Variable, variablesIn } from './variable.ts';
import { variables } from './variables.ts';

/** `docs/configuration.md`, made from the declarations. A test checks that the file is current. */
export function renderConfigurationTable(): string {
  const rows = variablesIn(variables).map((variable) => {
    const fallback = defaultOf(variable);
    const { name, meaning, isSecret } = variable;
    return `| \`${name}\` | ${meaning} | ${fallback === undefined ? '' : `\`${fallback}\``} | ${isSecret ? 'yes' : ''} |`;
  });
  return [
    '# Configuration',
    '',
    'Generated from `src/config/variables.ts`; `npx vitest run test/config --update` writes it again.',
    '',
    'Everything is an environment variable. All of them are read once, at the start, and all faults are reported together, by',
    'name; a value is never shown. A variable that is empty counts as absent. Times are milliseconds, lists are',
    'comma-separated. The exit code of a wrong configuration is 2. The variables that Kubernetes sets for services (`*_SERVICE_HOST`,',
    '`*_PORT=tcp://..`) are ignored, whatever the services are called.',
    '',
    '| variable | meaning | default | secret |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** The text that a variable has where the environment does not set it. */
function defaultOf({ form }: Variable): string | undefined {
  return form instanceof z.ZodPrefault ? String(form.def.defaultValue) : undefined;
}
