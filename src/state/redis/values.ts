import type { Values } from '../values.ts'
import type { Client } from './client/connection.ts'
import type { Guard } from './client/guarded-client.ts'
import type { Names } from './names.ts'

export class RedisValues implements Values {
  readonly #client: Client
  readonly #names: Names
  readonly #ask: Guard

  constructor ({ client, names, ask }: { client: Client, names: Names, ask: Guard }) {
    this.#client = client
    this.#names = names
    this.#ask = ask
  }

  async cacheGet (key: string): Promise<string | undefined> {
    const name = this.#names.value(key)
    return await this.#ask(() => this.#client.get(name), name) ?? undefined
  }

  async cacheSet (key: string, value: string, ttlMs: number): Promise<void> {
    const name = this.#names.value(key)
    await this.#ask(() => this.#client.set(name, value, 'PX', whole(ttlMs)), name)
  }

  async claim (key: string, ttlMs: number): Promise<boolean> {
    const name = this.#names.value(key)
    return await this.#ask(() => this.#client.set(name, '1', 'PX', whole(ttlMs), 'NX'), name) === 'OK'
  }
}

function whole (ms: number): number {
  return Math.max(1, Math.floor(ms))
}
