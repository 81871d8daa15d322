/** The thread of a dry run: reads the newest records of a folder and decides them again, beside the event loop. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { segmentsIn } from '../audit/spool.ts'
import { DryRun, type ReplayedRecord } from '../decision/dry-run.ts'
import type { DryRunMessage, DryRunPage, DryRunWork } from './dry-run.ts'

const ofRequests = (text: string) => text.split('\n').filter(line => line.includes('"msg":"request"'))

/** Records between two pauses: callers share the processors. */
const PIECE = 5000
const PAUSE_MS = 5

/** The newest lines of requests, oldest first. */
function newestLines (folder: string, most: number): string[] {
  const found: string[][] = []
  let count = 0
  for (const { path } of segmentsIn(folder).reverse()) {
    const lines = ofRequests(readFileSync(path, 'utf8'))
    found.push(lines)
    count += lines.length
    if (count >= most) break
  }
  return found.reverse().flat().slice(-most)
}

/** The same out of pages, the newest first; a batch may be there twice. */
async function toldLines (most: number): Promise<string[]> {
  const found: string[] = []
  const port = parentPort!
  await new Promise<void>(resolve => {
    const take = ({ texts }: DryRunPage) => {
      for (const text of texts ?? []) found.push(...ofRequests(text).reverse())
      if (texts !== undefined) return
      // A port that still listens would keep the thread.
      port.off('message', take)
      resolve()
    }
    port.on('message', take)
  })
  return [...new Set(found)].slice(0, most).reverse()
}

const { folder, last, policies, change } = workerData as DryRunWork
const run = new DryRun(policies, change)
const lines = folder === undefined ? await toldLines(last) : newestLines(folder, last)
for (const [n, line] of lines.entries()) {
  if (n > 0 && n % PIECE === 0) {
    tell({ done: n, of: lines.length })
    await sleep(PAUSE_MS)
  }
  const record = parsed(line)
  if (record !== undefined) run.take(record)
}
tell({ result: run.result() })

/** Undefined for a line that a crash cut. */
function parsed (line: string): ReplayedRecord | undefined {
  try {
    return JSON.parse(line) as ReplayedRecord
  } catch {
    return undefined
  }
}

function tell (message: DryRunMessage): void {
  parentPort!.postMessage(message)
}
