import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { AppError } from '../domain/errors.ts';
import { Secret } from './secret.ts';

/** An encryption key: an id, which each sealed value contains, and 32 bytes in base64. */
export interface EncryptionKey {
  readonly id: string;
  readonly key: Secret;
}

/** The place of a sealed value. A value that was moved to another place can't be opened. */
export interface SealedPlace {
  readonly table: string;
  readonly column: string;
  readonly rowId: string;
}

/** Seals values and makes blind indexes with the first key, and opens with any key of the ring. */
export interface Keyring {
  /** The ids of the keys. A blind index starts with the id of its key and a dot. */
  readonly keyIds: readonly string[];
  /** Seals with AES-256-GCM; the text is `v1.<key id>.<iv | tag | ciphertext in base64url>`. */
  readonly seal: (place: SealedPlace, value: string | Uint8Array) => string;
  /** Opens a sealed value. Throws `key_unknown` or `seal_broken`, without any part of the value. */
  readonly open: (place: SealedPlace, sealed: string) => Secret;
  /** Opens a sealed value byte by byte: it may be no text. Throws as `open` does. */
  readonly openBytes: (place: SealedPlace, sealed: string) => Buffer;
  /** A keyed digest under the current key. Queries find equal values by it without the value. */
  readonly blindIndex: (purpose: string, value: string) => string;
  /** The digests of a value under every key of the ring, for queries during a key rotation. */
  readonly blindIndexes: (purpose: string, value: string) => readonly string[];
  /** Whether `index` was made from `value` under any key of the ring. Constant time per key. */
  readonly matchesBlindIndex: (purpose: string, value: string, index: string) => boolean;
}

const ivBytes = 12;
const tagBytes = 16;
const keyBytes = 32;

/** Generates a key in the form `id:base64` of `ENCRYPTION_KEYS`. */
export function generateEncryptionKey(id: string): EncryptionKey {
  return { id, key: new Secret(randomBytes(keyBytes).toString('base64')) };
}

/** Creates a keyring. The first key seals; every key opens. */
export function createKeyring(keys: readonly EncryptionKey[]): Keyring {
  const ring = keys.map(deriveKeys);
  const current = ring[0];
  if (current === undefined) {
    throw new AppError('config_invalid', 'ENCRYPTION_KEYS: name at least one key.');
  }
  const blindIndex = (key: DerivedKey, purpose: string, value: string): string =>
    `${key.id}.${createHmac('sha256', key.indexKey).update(`${purpose}\0${value}`).digest('base64url')}`;

  const openBytes = (place: SealedPlace, sealed: string): Buffer => {
    const [format, keyId, text] = sealed.split('.');
    if (format !== 'v1' || text === undefined) throw sealBroken(place);
    const key = ring.find((candidate) => candidate.id === keyId);
    if (key === undefined) {
      throw new AppError(
        'key_unknown',
        `A sealed ${place.table}.${place.column} needs a key that is missing from ENCRYPTION_KEYS: add it.`,
      );
    }
    const box = Buffer.from(text, 'base64url');
    if (box.length < ivBytes + tagBytes) throw sealBroken(place);
    const decipher = createDecipheriv('aes-256-gcm', key.sealKey, box.subarray(0, ivBytes));
    decipher.setAAD(encodePlace(place));
    decipher.setAuthTag(box.subarray(ivBytes, ivBytes + tagBytes));
    try {
      return Buffer.concat([decipher.update(box.subarray(ivBytes + tagBytes)), decipher.final()]);
    } catch (cause) {
      throw sealBroken(place, cause);
    }
  };

  return {
    keyIds: ring.map(({ id }) => id),
    seal(place, value) {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv('aes-256-gcm', current.sealKey, iv);
      cipher.setAAD(encodePlace(place));
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      const ciphertext = Buffer.concat([cipher.update(bytes), cipher.final()]);
      const box = Buffer.concat([iv, cipher.getAuthTag(), ciphertext]);
      return `v1.${current.id}.${box.toString('base64url')}`;
    },
    open: (place, sealed) => new Secret(openBytes(place, sealed).toString('utf8')),
    openBytes,
    blindIndex: (purpose, value) => blindIndex(current, purpose, value),
    blindIndexes: (purpose, value) => ring.map((key) => blindIndex(key, purpose, value)),
    matchesBlindIndex: (purpose, value, index) =>
      ring.some((key) => isEqual(blindIndex(key, purpose, value), index)),
  };
}

/** Key objects: from bytes, Node makes one for each use, which takes most of the time. */
interface DerivedKey {
  readonly id: string;
  readonly sealKey: KeyObject;
  readonly indexKey: KeyObject;
}

/** Derives separate keys for sealing and indexing, so that a leaked index key opens nothing. */
function deriveKeys({ id, key }: EncryptionKey): DerivedKey {
  const master = Buffer.from(key.reveal(), 'base64');
  if (master.length !== keyBytes) {
    throw new AppError('config_invalid', `ENCRYPTION_KEYS: each key must be ${keyBytes} bytes.`);
  }
  const derive = (info: string): KeyObject =>
    createSecretKey(
      Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), `token-lifecycle ${info}`, keyBytes)),
    );
  return { id, sealKey: derive('seal v1'), indexKey: derive('blind index v1') };
}

/** JSON keeps the borders between table, column and row id, so no two places share an encoding. */
function encodePlace({ table, column, rowId }: SealedPlace): Buffer {
  return Buffer.from(JSON.stringify([table, column, rowId]), 'utf8');
}

function sealBroken(place: SealedPlace, cause?: unknown): AppError {
  return new AppError(
    'seal_broken',
    `A sealed ${place.table}.${place.column} was altered or moved: restore its row from a backup.`,
    { cause },
  );
}

function isEqual(left: string, right: string): boolean {
  const a = Buffer.from(left);
  const b = Buffer.from(right);
  return a.length === b.length && timingSafeEqual(a, b);
}
