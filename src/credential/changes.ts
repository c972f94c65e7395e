import type { CredentialRow } from '../db/rows.ts';
import type { CredentialInput } from './input.ts';
import { isDeepStrictEqual } from 'node:util';

/** Whether a stored credential stands for the account, or application, of the input. */
export function isSameHolder(
  present: CredentialRow,
  before: CredentialInput['secrets'],
  input: CredentialInput,
): boolean {
  return (
    present.state === 'active' &&
    isSamePlace(present, input) &&
    before['appKey'] === input.secrets['appKey']
  );
}

/** Names of the fields that differ, and nothing of what is in them. */
export function changedPaths(
  present: CredentialRow,
  before: CredentialInput['secrets'],
  { environment, account, terminal, secrets }: CredentialInput,
): readonly string[] {
  const { account: heldAccount, terminal: heldTerminal } = present;
  const held = {
    ...before,
    environment: present.environment,
    account: heldAccount,
    terminal: heldTerminal,
  };
  const next = { ...secrets, environment, account, terminal };
  const valueOf = (fields: Readonly<Record<string, unknown>>, name: string): unknown =>
    fields[name] ?? null;
  return Object.keys({ ...held, ...next })
    .filter((name) => valueOf(held, name) !== valueOf(next, name))
    .toSorted();
}

export function isSame(
  present: CredentialRow,
  before: Readonly<Record<string, unknown>>,
  input: CredentialInput,
): boolean {
  return (
    isDeepStrictEqual(before, JSON.parse(JSON.stringify(input.secrets))) &&
    isSamePlace(present, input)
  );
}

export function isSamePlace(
  present: CredentialRow,
  { environment, account, terminal }: CredentialInput,
): boolean {
  return (
    present.environment === environment &&
    present.account === (account ?? null) &&
    present.terminal === (terminal ?? null)
  );
}
