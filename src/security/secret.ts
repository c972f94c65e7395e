import { inspect } from 'node:util';

const hidden = '[secret]';

/**
 * A value that cannot be printed: string conversion, JSON, `util.inspect` and template literals all give `[secret]`.
 * `reveal()` is the only way to the value, so every use can be found by searching for that word.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Never pass it to a logger, an error message, a job or an audit row. */
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
