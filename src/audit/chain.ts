/**
 * The chain: `z` of each write is SHA-256 over the `z` before it and the bytes
 * of the write up to `z`. The unit of writing is the unit of the chain, so it
 * costs one hash for all answers of a turn. Every line has a number.
 */
import { createHash, hash } from 'node:crypto'

/** Where a chain stands. */
export interface Head {
  /** Number of its last line. */
  readonly n: number
  /** 64 hexadecimal digits; empty before the first write. */
  readonly z: string
}

export const BEGINNING: Head = { n: 0, z: '' }

export interface Write extends Head {
  readonly text: string
}

/** @param lines JSON objects without `n` and `z`, at least one */
export function link (head: Head, lines: readonly string[]): Write {
  let { n } = head
  let body = ''
  for (const line of lines) body += `${body === '' ? '' : '}\n'}{"n":${++n},${line.slice(1, -1)}`
  const z = hash('sha256', head.z + body)
  return { n, z, text: `${body},"z":"${z}"}\n` }
}

/** What is wrong with a line of a chain. */
export interface ChainFault {
  /** Number of the line in the file, from 1. */
  readonly line: number
  readonly n: number | undefined
  readonly what: string
}

/** `,"z":"` and 64 digits and `"}` */
const Z_LENGTH = 6 + 64 + 2

/** Follows a chain over its bytes as they stand, line by line. */
export class ChainReader {
  #head: Head
  #open = createHash('sha256')
  #n: number
  #started = false

  constructor (head: Head = BEGINNING) {
    this.#head = head
    this.#n = head.n
    this.#open.update(head.z)
  }

  /** After the last whole write. */
  get head (): Head {
    return this.#head
  }

  /** Lines since the last whole write. */
  get tail (): number {
    return this.#n - this.#head.n
  }

  /**
   * @param line without its line feed
   * @returns its parsed members, or what is wrong
   */
  read (line: Buffer): { record: Record<string, unknown> } | { what: string } {
    let record: Record<string, unknown>
    try {
      record = JSON.parse(line.toString('utf8')) as Record<string, unknown>
    } catch {
      return { what: 'no JSON' }
    }
    if (record.n !== this.#n + 1) return { what: `n is ${String(record.n)} where ${this.#n + 1} follows` }
    this.#n++
    if (this.#started) this.#open.update('\n')
    this.#started = true
    if (record.z === undefined) {
      this.#open.update(line)
      return { record }
    }
    const body = line.subarray(0, line.length - Z_LENGTH)
    const z = this.#open.update(body).digest('hex')
    if (line.subarray(body.length).toString('latin1') !== `,"z":"${z}"}`) {
      return { what: 'altered, or what stands before it' }
    }
    this.#head = { n: this.#n, z }
    this.#open = createHash('sha256').update(z)
    this.#started = false
    return { record }
  }
}
