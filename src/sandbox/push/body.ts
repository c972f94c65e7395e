import { XMLBuilder } from 'fast-xml-parser';
import { type FieldPair, lastValueByName } from '../creation/result-fields.ts';
import type { FaultSwitches } from '../fault-switches.ts';

/** An encoded push with its content type, which `fetch` adds to a `FormData` with a boundary. */
export interface PushBody {
  readonly contentType: string | undefined;
  readonly content: string | FormData;
}

/**
 * Encodes a push. Oceanpayment does not document the encoding of token pushes; these are likely.
 * XML and JSON do not keep repeated names.
 */
export function encodePush(
  fields: readonly FieldPair[],
  format: FaultSwitches['pushFormat'],
): PushBody {
  switch (format) {
    case 'xml':
      return { contentType: 'application/xml; charset=utf-8', content: encodeXml(fields) };
    case 'json':
      return {
        contentType: 'application/json; charset=utf-8',
        content: JSON.stringify(lastValueByName(fields)),
      };
    case 'form':
      return {
        contentType: 'application/x-www-form-urlencoded; charset=utf-8',
        content: encodeForm(fields),
      };
    case 'multipart': {
      const content = new FormData();
      for (const [name, value] of fields) content.append(name, value);
      return { contentType: undefined, content };
    }
  }
}

function encodeForm(fields: readonly FieldPair[]): string {
  const form = new URLSearchParams();
  for (const [name, value] of fields) form.append(name, value);
  return form.toString();
}

function encodeXml(fields: readonly FieldPair[]): string {
  const response = lastValueByName(fields);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLBuilder().build({ response })}`;
}
