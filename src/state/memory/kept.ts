/** What lasts beyond a request: keys, when they were used, shared lists; and the files that keep it. */
import { join } from 'node:path'
import type { Catalogues } from '../catalogues.ts'
import type { Ledger } from '../ledgers.ts'
import { FileCatalogues } from './catalogues.ts'
import { openKeyFile, type KeyFile } from './key-file.ts'
import { fileLastUse, type LastUse } from './last-use.ts'
import { FileLedger } from './ledgers.ts'
import { answerCommands, takenUp, type TakenUp } from './serving.ts'

export type KeptKeys = Pick<KeyFile, 'byHash' | 'byId' | 'records' | 'save' | 'change'>

export interface Kept {
  readonly keys: KeptKeys
  readonly uses: LastUse
  readonly blocklist: Ledger
  readonly revocations: Ledger
  readonly approvals: Ledger
  readonly catalogues: Catalogues
  takenUp (): Promise<TakenUp>
  close (): void
}

export interface KeptInFilesOptions {
  readonly keysFile: string
  /** Of the ledgers' files. */
  readonly folder: string
  /** Answer commands that ask whether their change is in use. */
  readonly serving?: boolean | undefined
  readonly allowShortKeys?: boolean | undefined
  readonly warn?: ((message: string) => void) | undefined
  /** ms since the epoch. */
  readonly now: () => number
  /** Told whenever the keys are others. */
  readonly onKeys: () => void
}

/** @throws {UsageError} if a file is broken */
export function keptInFiles (options: KeptInFilesOptions): Kept {
  const { keysFile, folder, serving = false, allowShortKeys: allowShort, warn = () => {}, now, onKeys } = options
  const keys = openKeyFile({ path: keysFile, setting: 'API_KEYS_FILE', allowShort, warn, onChange: onKeys })
  const uses = fileLastUse(join(folder, 'last_used.json'), warn)
  const ledger = (name: string) => new FileLedger({ path: join(folder, `${name}.json`), warn, now })
  const ledgers = { blocklist: ledger('blocklist'), revocations: ledger('revocations'), approvals: ledger('approvals') }
  const held = [keys, ...Object.values(ledgers)].map(({ held }) => held)
  const stopAnswering = serving ? answerCommands(folder, held) : () => {}
  return {
    keys,
    uses,
    ...ledgers,
    catalogues: new FileCatalogues(join(folder, 'catalogue.json'), now),
    takenUp: () => takenUp(folder, held.map(({ path }) => path)),
    close () {
      stopAnswering()
      uses.write()
      keys.close()
      for (const ledger of Object.values(ledgers)) ledger.close()
    }
  }
}
