import { XMLBuilder } from 'fast-xml-parser';
import type { FaultSwitches } from '../fault-switches.ts';
import { type FieldPair, lastValues } from '../creation/result-fields.ts';

/** An encoded message with its content type. */
export interface PushBody {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Encodes a push. The gateway's token push is not documented; these are the three likely forms. Only the form
 * encoding keeps the repeated names of the redirect.
 */
export function encodePush(
  fields: readonly FieldPair[],
  format: FaultSwitches['pushFormat'],
): PushBody {
  switch (format) {
    case 'xml':
      return { contentType: 'application/xml; charset=utf-8', text: encodeXml(fields) };
    case 'json':
      return {
        contentType: 'application/json; charset=utf-8',
        text: JSON.stringify(lastValues(fields)),
      };
    case 'form':
      return {
        contentType: 'application/x-www-form-urlencoded; charset=utf-8',
        text: encodeForm(fields),
      };
  }
}

/** Form encoding that keeps order and repeated names. */
function encodeForm(fields: readonly FieldPair[]): string {
  const form = new URLSearchParams();
  for (const [name, value] of fields) form.append(name, value);
  return form.toString();
}

function encodeXml(fields: readonly FieldPair[]): string {
  const response = lastValues(fields);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLBuilder().build({ response })}`;
}
