/**
 * Pictures and sounds as content, from their bytes alone: no path and no URL, or the model would choose what
 * is read.
 */
import type { Content } from './tool.ts'

/** Of one picture or sound, bytes: base64 makes it a third longer, and clients hold messages to a few megabytes. */
const MAX_BYTES = 4 * 1_048_576

/** How each type begins: bytes, and where they stand. */
const IMAGES: ReadonlyArray<readonly [type: string, at: number, bytes: string]> = [
  ['image/png', 0, '\x89PNG\r\n\x1a\n'], ['image/jpeg', 0, '\xff\xd8\xff'], ['image/gif', 0, 'GIF8'],
  ['image/webp', 8, 'WEBP'], ['image/avif', 4, 'ftypavif']
]
const SOUNDS: typeof IMAGES = [
  ['audio/wav', 8, 'WAVE'], ['audio/mpeg', 0, 'ID3'], ['audio/mpeg', 0, '\xff\xfb'], ['audio/ogg', 0, 'OggS'],
  ['audio/flac', 0, 'fLaC'], ['audio/mp4', 4, 'ftypM4A']
]

/**
 * A picture for `content`.
 *
 * @param mimeType read from the bytes if absent
 * @throws {TypeError} for bytes of no known type, or more than 4 MiB
 */
export function image (bytes: Uint8Array, mimeType?: string): Content {
  return media('image', bytes, mimeType ?? typeOf(bytes, IMAGES))
}

/** A sound for `content`, in the same way. @throws {TypeError} */
export function audio (bytes: Uint8Array, mimeType?: string): Content {
  return media('audio', bytes, mimeType ?? typeOf(bytes, SOUNDS))
}

function media (type: 'image' | 'audio', bytes: Uint8Array, mimeType: string | undefined): Content {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${type}() takes bytes: read the file in the tool`)
  if (bytes.byteLength > MAX_BYTES) {
    throw new TypeError(`${type}() takes at most ${MAX_BYTES} bytes, and got ${bytes.byteLength}`)
  }
  if (mimeType === undefined) {
    throw new TypeError(`${type}() cannot tell the type of these bytes: name it as second argument`)
  }
  if (!mimeType.startsWith(`${type}/`)) throw new TypeError(`${type}() cannot hold ${mimeType.slice(0, 64)}`)
  return { type, data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'), mimeType }
}

function typeOf (bytes: Uint8Array, known: typeof IMAGES): string | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined
  const head = Buffer.from(bytes.subarray(0, 16)).toString('latin1')
  return known.find(([, at, begins]) => head.startsWith(begins, at))?.[0]
}
