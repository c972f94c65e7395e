import { format } from 'oxfmt';
import { z } from 'zod';
import {
  accessTokenView,
  keptCallback,
  rawCallbackBody,
  revealedOpccount,
  timeline,
  timelineEvent,
  tokenizationFilter,
  tokenizationPage,
  tokenizationRequestBody,
  tokenizationView,
} from '../../src/domain/payload/api-shapes.ts';
import {
  accessTokenRefreshPayload,
  tokenDisablePayload,
} from '../../src/domain/payload/job-payloads.ts';

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** The types of the calls and payloads of backends: name, description, schema. */
const inputs: readonly (readonly [string, string, z.ZodType])[] = [
  ['TokenizationRequest', 'A request for a QuickPay ID.', tokenizationRequestBody],
  ['TokenDisable', 'A request to disable a token.', tokenDisablePayload],
  ['RawCallback', 'A message of the gateway that the backend received itself.', rawCallbackBody],
  ['AccessTokenRefresh', 'A request to renew an access token.', accessTokenRefreshPayload],
  [
    'TokenizationFilter',
    'A filter of tokenizations: at least one field. A tokenization must match all given fields.',
    tokenizationFilter,
  ],
];

/** The types of the answers to backends. */
const answers: typeof inputs = [
  [
    'TokenizationView',
    'A tokenization, without billing data and without the QuickPay ID.',
    tokenizationView,
  ],
  ['TokenizationPage', 'A page of tokenizations, newest first.', tokenizationPage],
  [
    'TimelineEvent',
    'One audit row: a change of a tokenization or of a message about it.',
    timelineEvent,
  ],
  ['TimelinePage', 'A page of audit rows, oldest first.', timeline],
  ['KeptCallback', 'The inbox row of a forwarded message.', keptCallback],
  ['AccessTokenView', 'A valid OPCard access token.', accessTokenView],
  [
    'OpccountCredential',
    'An OPCCOUNT credential, with which a backend signs its calls.',
    revealedOpccount,
  ],
];

/**
 * The source of `src/domain/payload/payload-types.ts`. Editors show no comment for a type that zod
 * infers, so the types that backends use are generated, with each field's description as comment.
 */
export async function payloadTypesSource(): Promise<string> {
  const named = new Map<string, string>();
  const declare =
    (io: 'input' | 'output') =>
    ([name, sentence, schema]: (typeof inputs)[number]): string => {
      const type = typeOf(z.toJSONSchema(schema, { io }), named);
      named.set(type, name);
      // A type alias, since an interface is not assignable to a record.
      return `/** ${sentence} */\nexport type ${name} = ${type};\n`;
    };
  const source = [
    '// Generated from the schemas in job-payloads.ts and api-shapes.ts by `npm run schemas`.\n',
    ...inputs.map(declare('input')),
    ...answers.map(declare('output')),
  ].join('\n');
  const { code, errors } = await format('payload-types.ts', source, {
    printWidth: 100,
    singleQuote: true,
    trailingComma: 'all',
  });
  if (errors.length > 0) throw new Error(errors[0]?.message);
  return code;
}

/** The TypeScript type of a JSON Schema. `named` holds the names of types declared before. */
function typeOf(schema: JsonSchema, named: ReadonlyMap<string, string>): string {
  const nested = (part: unknown): string => typeOf(part as JsonSchema, named);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join('|');
  if (schema.anyOf !== undefined) return schema.anyOf.map(nested).join('|');
  if (schema.type === 'array') return `${nested(schema.items)}[]`;
  if (schema.properties !== undefined) {
    const type = objectType(schema, nested);
    return named.get(type) ?? type;
  }
  return [schema.type].flat().map(scalarType).join('|');
}

function scalarType(type: unknown): string {
  switch (type) {
    case 'string':
    case 'boolean':
    case 'null':
      return type;
    case 'number':
    case 'integer':
      return 'number';
    case 'object':
      return 'Record<string, unknown>';
    default:
      throw new Error(`No TypeScript type for the JSON Schema type ${String(type)}.`);
  }
}

/** The client adds a missing version to every payload, so `v` is always optional. */
function objectType(
  { properties = {}, required = [] }: JsonSchema,
  typeOfField: (schema: unknown) => string,
): string {
  const fields = Object.entries(properties).map(([name, field]) => {
    const { description = '' } = field as JsonSchema;
    const isRequired = required.includes(name) && name !== 'v';
    const type = typeOfField(field);
    return `/** ${description} */\n${name}${isRequired ? `: ${type}` : `?: ${type} | undefined`};`;
  });
  return `{\n${fields.join('\n')}\n}`;
}
