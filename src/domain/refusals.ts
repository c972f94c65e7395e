/**
 * What a refusal of the gateway is about: the account or the call itself, one customer's payment
 * method, or neither by its code.
 */
export const refusalScopes = ['account', 'customer', 'unclear'] as const;

export type RefusalScope = (typeof refusalScopes)[number];

/** A refusal of one call. */
export interface Refusal {
  readonly code: string;
  readonly scope: RefusalScope;
}

/** Refusals without an accepted call in between. */
export interface RefusedInARow extends Refusal {
  readonly count: number;
  /** Whether enough of them are about different subjects that every call counts as refused. */
  readonly isEvery: boolean;
}

/** Counts the refusals in a row of one operation. */
export interface RefusalCount {
  /** @param refusal undefined: the gateway accepted the call */
  readonly add: (subject: string, refusal: Refusal | undefined) => void;
  readonly inARow: () => RefusedInARow | undefined;
}

/**
 * From this many subjects in a row, every call counts as refused. A code that is not known to be
 * about the account needs more, all with the same code: it may be about single customers.
 */
const subjectsFrom = { account: 3, unclear: 5 } as const;

type CountedScope = keyof typeof subjectsFrom;

interface Counted {
  readonly code: string;
  readonly count: number;
  readonly subjects: ReadonlySet<string>;
}

/**
 * Creates a count. A customer's refused payment method proves that the gateway accepts the account,
 * so it ends the count as an accepted call does.
 */
export function createRefusalCount(): RefusalCount {
  const counted = new Map<CountedScope, Counted>();
  return {
    add(subject, refusal) {
      if (refusal === undefined || refusal.scope === 'customer') {
        counted.clear();
        return;
      }
      const { code, scope } = refusal;
      const last = counted.get(scope);
      const before = scope === 'account' || last?.code === code ? last : undefined;
      const subjects = new Set(before?.subjects);
      if (subjects.size < subjectsFrom[scope]) subjects.add(subject);
      counted.set(scope, { code, count: (before?.count ?? 0) + 1, subjects });
    },
    inARow() {
      const found = (['account', 'unclear'] as const).flatMap((scope) => {
        const last = counted.get(scope);
        if (last === undefined) return [];
        const { code, count, subjects } = last;
        return [{ code, scope, count, isEvery: subjects.size >= subjectsFrom[scope] }];
      });
      return found.find(({ isEvery }) => isEvery) ?? found[0];
    },
  };
}

/** What an operator does about refusals of this scope. */
export function refusalRemedy({ scope, code }: Refusal): string {
  return scope === 'account'
    ? "correct account, terminal, secure code and OCEANPAYMENT_CHECKOUT_URL, or have the worker's address registered"
    : `ask the gateway what code ${code} means, and correct the account or the requests`;
}
