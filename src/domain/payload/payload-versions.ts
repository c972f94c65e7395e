import { z } from 'zod';

/** One version of a payload: its number and its schema. The schema has the number as field `v`. */
export interface PayloadVersion<Schema extends z.ZodType> {
  readonly v: number;
  readonly schema: Schema;
}

/** The version after `Previous`, with the function that converts a payload of `Previous` to it. */
export interface NextPayloadVersion<
  Previous extends z.ZodType,
  Schema extends z.ZodType,
> extends PayloadVersion<Schema> {
  readonly upgrade: (previous: z.output<Previous>) => z.input<Schema>;
}

/**
 * The schema of a payload over its versions. It accepts the current version and the one before, and
 * its output is always the current version, so the code behind the parser knows only that one. An
 * upgraded payload is checked against the current schema too.
 *
 * A payload that never changed has one version. A gap between two versions throws at import.
 */
export function payloadVersions<Only extends z.ZodType>(only: PayloadVersion<Only>): Only;
export function payloadVersions<Previous extends z.ZodType, Current extends z.ZodType>(
  previous: PayloadVersion<Previous>,
  current: NextPayloadVersion<Previous, Current>,
): z.ZodType<z.output<Current>, z.input<Current> | z.input<Previous>>;
export function payloadVersions(
  first: PayloadVersion<z.ZodType>,
  next?: NextPayloadVersion<z.ZodType, z.ZodType>,
): z.ZodType {
  if (next === undefined) return first.schema;
  if (next.v !== first.v + 1) throw new RangeError('Payload versions must be consecutive.');
  return z.union([next.schema, first.schema.transform(next.upgrade).pipe(next.schema)]);
}
