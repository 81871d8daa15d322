/**
 * Which connections may be open, and which one goes to make room for another.
 *
 * A connection on which no credential was accepted yet belongs to a stranger.
 * Strangers cost nothing but their place, so idle ones make room, the oldest
 * first; then idle connections of callers, the least used first, which HTTP
 * lets a server close at any time. Nothing that is being answered is closed.
 * Where all are busy a newcomer gets a spare place, on which probes alone are
 * answered: a full server can still say that it lives.
 */
export interface PoolLimits {
  /** Connections at once, spare places apart. */
  readonly max: number
  /** Strangers of one address group at once. */
  readonly maxStrangersOfGroup: number
  /** Places beside them. */
  readonly spare: number
}

/** What became of a newcomer, and the connections that are to be closed for it. */
export interface PooledConnection<C> {
  readonly place: 'full' | 'spare' | 'none'
  readonly closing: ReadonlyArray<{ readonly connection: C, readonly why: 'address' | 'room' }>
}

/** So long a stranger keeps its place whatever comes: long enough for its first request to be read, ms. */
export const GRACE_MS = 100

interface Held<C> {
  readonly connection: C
  /** Undefined for a proxy of ours: it stands for many. */
  readonly group: string | undefined
  known: boolean
  spare: boolean
  /** Requests being answered. */
  busy: number
  /** When it fell idle, ms of the caller's clock. */
  since: number
}

/** Strangers of one address group. */
interface Group<C> {
  count: number
  readonly idle: Set<Held<C>>
}

export class ConnectionPool<C> {
  readonly #limits: PoolLimits
  readonly #held = new Map<C, Held<C>>()
  readonly #groups = new Map<string, Group<C>>()
  /** In the order in which they fell idle, the first the oldest; these three hold what is idle. */
  readonly #idleStrangers = new Set<Held<C>>()
  readonly #idleKnown = new Set<Held<C>>()
  readonly #idleSpare = new Set<Held<C>>()
  #spare = 0

  constructor (limits: PoolLimits) {
    this.#limits = limits
  }

  /** Connections now, spare places included. */
  get size (): number {
    return this.#held.size
  }

  /**
   * @param group of its address; undefined for a proxy of ours
   * @param now ms of a clock that only goes forward, as for all methods here
   */
  enter (connection: C, group: string | undefined, now: number): PooledConnection<C> {
    const closing: Array<{ connection: C, why: 'address' | 'room' }> = []
    const crowd = group === undefined ? undefined : this.#groups.get(group)
    if (crowd !== undefined && crowd.count >= this.#limits.maxStrangersOfGroup) {
      const oldest = first(crowd.idle)
      if (oldest !== undefined && now - oldest.since >= GRACE_MS) closing.push(this.#close(oldest, 'address'))
    }
    let spare = false
    if (this.#held.size - this.#spare >= this.#limits.max) {
      const victim = this.#makesRoom(now)
      if (victim !== undefined) closing.push(this.#close(victim, 'room'))
      else spare = true
    }
    if (spare && this.#spare >= this.#limits.spare) {
      const oldest = first(this.#idleSpare)
      if (oldest === undefined) return { place: 'none', closing }
      closing.push(this.#close(oldest, 'room'))
    }
    const held: Held<C> = { connection, group, known: group === undefined, spare, busy: 0, since: now }
    this.#held.set(connection, held)
    this.#count(held, 1)
    this.#idle(held).add(held)
    return { place: spare ? 'spare' : 'full', closing }
  }

  /**
   * A request came on it.
   *
   * @returns false on a spare place, where probes alone are answered
   */
  begin (connection: C): boolean {
    const held = this.#held.get(connection)
    if (held === undefined) return true
    if (held.busy++ === 0) this.#notIdle(held)
    if (held.spare && this.#held.size - this.#spare < this.#limits.max) this.#move(held, () => { held.spare = false })
    return !held.spare
  }

  /** A request on it was answered, or is over. */
  end (connection: C, now: number): void {
    const held = this.#held.get(connection)
    if (held === undefined || --held.busy > 0) return
    held.since = now
    this.#idle(held).add(held)
  }

  /** A credential was accepted on it. */
  know (connection: C): void {
    const held = this.#held.get(connection)
    if (held !== undefined && !held.known) this.#move(held, () => { held.known = true })
  }

  /** Whether it belongs to a stranger. */
  isStranger (connection: C): boolean {
    return this.#held.get(connection)?.known === false
  }

  leave (connection: C): void {
    const held = this.#held.get(connection)
    if (held !== undefined) this.#remove(held)
  }

  /** Known ones go only where no stranger is idle: a flood of strangers pushes out strangers. */
  #makesRoom (now: number): Held<C> | undefined {
    const stranger = first(this.#idleStrangers)
    if (stranger === undefined) return first(this.#idleKnown)
    return now - stranger.since >= GRACE_MS ? stranger : undefined
  }

  #close (held: Held<C>, why: 'address' | 'room'): { connection: C, why: 'address' | 'room' } {
    this.#remove(held)
    return { connection: held.connection, why }
  }

  #remove (held: Held<C>): void {
    this.#held.delete(held.connection)
    this.#notIdle(held)
    this.#count(held, -1)
  }

  /** Change what a connection is, and with it where it is counted. */
  #move (held: Held<C>, change: () => void): void {
    this.#notIdle(held)
    this.#count(held, -1)
    change()
    this.#count(held, 1)
    if (held.busy === 0) this.#idle(held).add(held)
  }

  #count (held: Held<C>, by: 1 | -1): void {
    if (held.spare) this.#spare += by
    else if (!held.known) {
      const group = this.#groups.get(held.group!) ?? { count: 0, idle: new Set() }
      group.count += by
      if (group.count === 0) this.#groups.delete(held.group!)
      else this.#groups.set(held.group!, group)
    }
  }

  #idle (held: Held<C>): Set<Held<C>> {
    if (held.spare) return this.#idleSpare
    if (held.known) return this.#idleKnown
    this.#groups.get(held.group!)?.idle.add(held)
    return this.#idleStrangers
  }

  #notIdle (held: Held<C>): void {
    if (held.spare) this.#idleSpare.delete(held)
    else if (held.known) this.#idleKnown.delete(held)
    else {
      this.#idleStrangers.delete(held)
      this.#groups.get(held.group!)?.idle.delete(held)
    }
  }
}

function first<T> (set: Set<T>): T | undefined {
  return set.values().next().value
}
