import { z } from 'zod';

/** One version of a payload: its number, and the form that it has. The form holds the number too, as its field `v`. */
export interface PayloadVersion<Schema extends z.ZodType> {
  readonly v: number;
  readonly schema: Schema;
}

/** The version after `Previous`, and how a payload of the previous one is said in it. */
export interface NextPayloadVersion<
  Previous extends z.ZodType,
  Schema extends z.ZodType,
> extends PayloadVersion<Schema> {
  readonly upgrade: (previous: z.output<Previous>) => z.input<Schema>;
}

/**
 * The form of a payload, over its versions. The current version and the one before are accepted, and what comes out is always the
 * current one, so nothing behind the parser knows that there were others. An upgraded payload is checked
 * against the current form too.
 *
 * A payload that never changed has one version. Versions follow each other without a gap; anything else throws at import.
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
  if (next.v !== first.v + 1) throw new RangeError('Payload versions follow each other.');
  return z.union([next.schema, first.schema.transform(next.upgrade).pipe(next.schema)]);
}
