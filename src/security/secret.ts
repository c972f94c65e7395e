import { inspect } from 'node:util';

const hidden = '[secret]';

/**
 * A value that prints as `[secret]` in string conversion, JSON, `util.inspect` and template
 * literals. Only `reveal()` returns the value, so a search for that word finds every use.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Returns the value. Never pass it to a logger, an error message, a job or an audit row. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [inspect.custom](): string {
    return hidden;
  }
}
