import type { z } from 'zod';

/** The declaration of one environment variable. */
export interface Variable<Name extends string = string, Value = unknown> {
  readonly name: Name;
  /** How its text becomes a value. The form also holds the default. */
  readonly form: z.ZodType<Value>;
  /** One sentence for the documentation. */
  readonly meaning: string;
  /** Whether the documentation marks the value as a secret. No value is ever printed. */
  readonly isSecret: boolean;
}

/** Declares a variable. */
export function variable<const Name extends string, Value>(
  name: Name,
  form: z.ZodType<Value>,
  meaning: string,
): Variable<Name, Value> {
  return { name, form, meaning, isSecret: false };
}

/** Declares a variable whose value is a secret. */
export function secretVariable<const Name extends string, Value>(
  name: Name,
  form: z.ZodType<Value>,
  meaning: string,
): Variable<Name, Value> {
  return { ...variable(name, form, meaning), isSecret: true };
}

/** Variables that only make sense together. Members whose form accepts absence stay optional. */
export interface VariableSet<Members> {
  readonly allOrNone: Members;
}

/** Declares a set: some of its required variables without the others are a fault. */
export function allOrNone<Members>(members: Members): VariableSet<Members> {
  return { allOrNone: members };
}

/** The values of a tree of declarations. `Absent` stands for a variable that has a fault. */
export type Values<Node, Absent = never> =
  Node extends Variable<string, infer Value>
    ? AsReadonly<Value> | Absent
    : Node extends VariableSet<infer Members>
      ? Values<Members, Absent> | undefined
      : WithOptionalKeys<{ readonly [Key in keyof Node]: Values<Node[Key], Absent> }>;

/** The same object, whose keys may be missing where their value may be undefined. */
type WithOptionalKeys<Group> = Flat<
  { readonly [Key in keyof Group as undefined extends Group[Key] ? never : Key]: Group[Key] } & {
    readonly [Key in keyof Group as undefined extends Group[Key] ? Key : never]?: Group[Key];
  }
>;

type Flat<Group> = { readonly [Key in keyof Group]: Group[Key] };

type AsReadonly<Value> = Value extends readonly (infer Item)[] ? readonly Item[] : Value;

/** The names of the variables in a tree of declarations. */
export type NamesIn<Node> =
  Node extends Variable<infer Name>
    ? Name
    : Node extends VariableSet<infer Members>
      ? NamesIn<Members>
      : { [Key in keyof Node]: NamesIn<Node[Key]> }[keyof Node];

/** Every variable of a tree, in the order of its declaration. */
export function variablesIn(node: object): readonly Variable[] {
  if (isVariable(node)) return [node];
  return Object.values(node).flatMap(variablesIn);
}

/**
 * Reads a tree of declarations. A variable with a fault, and a set without any of its required
 * variables, read as undefined. Adds each fault to `faults` as `NAME: what to change`.
 *
 * @param textOf the text of a variable; undefined where it is absent
 */
export function readValues<Node extends object>(
  node: Node,
  textOf: (name: string) => string | undefined,
  faults: string[],
): Values<Node, undefined> {
  // `Values` describes to the compiler what the recursion below does at run time.
  return read(node) as Values<Node, undefined>;

  function read(part: object): unknown {
    if (isVariable(part)) return readOne(part);
    if (isSet(part)) return readSet(part.allOrNone);
    return Object.fromEntries(Object.entries(part).map(([key, child]) => [key, read(child)]));
  }

  function readOne({ name, form }: Variable): unknown {
    const parsed = form.safeParse(textOf(name));
    if (parsed.success) return parsed.data;
    faults.push(
      ...parsed.error.issues.map(({ path, message }) => `${[name, ...path].join('.')}: ${message}`),
    );
    return undefined;
  }

  function readSet(members: object): unknown {
    const required = variablesIn(members).filter(({ form }) => !form.safeParse(undefined).success);
    const missing = required.filter(({ name }) => textOf(name) === undefined);
    const present = Object.entries(members).filter(([, member]) => !missing.includes(member));
    const values = read(Object.fromEntries(present));
    if (missing.length === 0) return values;
    if (missing.length < required.length) {
      const names = required.map(({ name }) => name).join(', ');
      faults.push(...missing.map(({ name }) => `${name}: set it too, or none of ${names}`));
    }
    return undefined;
  }
}

function isVariable(node: object): node is Variable {
  return 'form' in node;
}

function isSet(node: object): node is VariableSet<object> {
  return 'allOrNone' in node;
}
