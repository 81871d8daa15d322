/**
 * One object of a file that people write: read member by member, every fault kept with its place, and what
 * nobody asked for told.
 */
import type { Node } from 'jsonc-parser'

/** A fault and where it stands: an offset in the text. */
export interface PlacedFault {
  readonly offset: number
  readonly text: string
}

/** A value and where it stands. */
export interface Placed<T> {
  readonly value: T
  readonly offset: number
}

export class Section {
  readonly offset: number
  readonly #path: string
  readonly #members: ReadonlyMap<string, { readonly at: Node, readonly value: Node }>
  readonly #read = new Set<string>()
  readonly #faults: PlacedFault[]

  /**
   * @param node of an object
   * @param path what stands before the names of members in messages: '' or `tools.`
   */
  constructor (node: Node, faults: PlacedFault[], path = '') {
    this.offset = node.offset
    this.#path = path
    this.#faults = faults
    const members = new Map<string, { at: Node, value: Node }>()
    for (const property of node.children ?? []) {
      const [at, value] = property.children ?? []
      if (at === undefined || value === undefined) continue
      const name = String(at.value)
      if (members.has(name)) this.fault(`"${shown(path + name)}" stands twice: leave one of them out`, at.offset)
      members.set(name, { at, value })
    }
    this.#members = members
  }

  fault (text: string, offset = this.offset): void {
    this.#faults.push({ offset, text })
  }

  has (name: string): boolean {
    return this.#members.has(name)
  }

  /** Every member with what stands there, read or not. */
  entries (): Array<{ name: string, offset: number, node: Node }> {
    return [...this.#members].map(([name, { at, value }]) => ({ name, offset: at.offset, node: value }))
  }

  names (): string[] {
    return [...this.#members.keys()]
  }

  /** Where a member stands; the object itself if it has none of that name. */
  offsetOf (name: string): number {
    return this.#members.get(name)?.at.offset ?? this.offset
  }

  /** Members that nobody has read, each with its offset. */
  unread (): Array<Placed<string>> {
    return [
      ...this.#members
    ].filter(([name]) => !this.#read.has(name)).map(([name, { at }]) => ({ value: name, offset: at.offset }))
  }

  text (
    name: string, { form = /^[^\0]+$/s, wanted = 'a text' }: { form?: RegExp, wanted?: string } = {}
  ): Placed<string> | undefined {
    return this.#get(
      name,
      `must be ${wanted}`,
      ({ type, value }) => type === 'string' && form.test(value as string) ? value as string : undefined
    )
  }

  integer (name: string, least: number, most: number): number | undefined {
    return this.#get(name, `must be a whole number from ${least} to ${most}`, ({ type, value }) =>
      type === 'number' && Number.isSafeInteger(
        value
      ) && value >= least && value <= most
        ? value as number
        : undefined)?.value
  }

  flag (name: string): boolean | undefined {
    return this.#get(
      name, 'must be true or false', ({ type, value }) => type === 'boolean' ? value as boolean : undefined
    )?.value
  }

  choice<const T extends string> (name: string, values: readonly T[]): T | undefined {
    const wanted = `must be ${values.map(value => `"${value}"`).join(', ').replace(/, (?=[^,]*$)/, ' or ')}`
    return this.#get(
      name, wanted, ({ type, value }) => type === 'string' ? values.find(known => known === value) : undefined
    )?.value
  }

  texts (
    name: string, { form = /^[^\0]*$/s, wanted = 'a list of texts' }: { form?: RegExp, wanted?: string } = {}
  ): Array<Placed<string>> | undefined {
    const list = this.#get(
      name, `must be ${wanted}`, ({ type, children = [] }) => type === 'array' ? children : undefined
    )?.value
    return list?.flatMap(({ type, value, offset }) => {
      if (type === 'string' && form.test(value as string)) return [{ value: value as string, offset }]
      this.fault(`"${this.#path}${name}" must be ${wanted}`, offset)
      return []
    })
  }

  /** An object whose members are read in turn. */
  section (name: string, wanted = 'an object'): Section | undefined {
    const node = this.#get(name, `must be ${wanted}`, node => node.type === 'object' ? node : undefined)?.value
    return node === undefined ? undefined : new Section(node, this.#faults, `${this.#path}${name}.`)
  }

  /** What kind of value a member has, without reading it. */
  typeOf (name: string): string | undefined {
    return this.#members.get(name)?.value.type
  }

  /** What kinds of values a member holds, where it is an object. */
  typesIn (name: string): string[] {
    return (this.#members.get(name)?.value.children ?? []).map(({ children }) => children?.[1]?.type ?? 'null')
  }

  /** A member that is passed over on purpose. */
  skip (name: string): void {
    this.#read.add(name)
  }

  #get<T> (name: string, wanted: string, read: (node: Node) => T | undefined): Placed<T> | undefined {
    this.#read.add(name)
    const member = this.#members.get(name)
    if (member === undefined) return undefined
    const value = read(member.value)
    if (value === undefined) {
      this.fault(`"${shown(this.#path + name)}" ${wanted}`, member.value.offset)
      return undefined
    }
    return { value, offset: member.value.offset }
  }
}

/** A name of the file as messages repeat it. */
export function shown (name: string): string {
  return name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?')
}
