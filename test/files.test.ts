import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { readIfThere, readJsonIfThere, withLock, writeAtomically } from '../src/files.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { folder } from './support/app.ts'
import { until } from './support/until.ts'

const root = process.getuid?.() === 0

t.test('a byte order mark is understood, in UTF-8 and UTF-16, and other bytes are named', async t => {
  const path = join(folder(t), 'a.json')
  const write = (bytes: Buffer) => writeFileSync(path, bytes)
  for (const encoding of ['utf8', 'utf16le'] as const) {
    write(Buffer.from('\ufeff{"a": "ä"}', encoding))
    t.same(readJsonIfThere(path), { a: 'ä' }, encoding)
  }
  write(Buffer.from('\ufeff{"a": 1}', 'utf16le').swap16())
  t.same(readJsonIfThere(path), { a: 1 }, 'big endian')
  write(Buffer.from([0x7b, 0xff, 0x7d]))
  t.throws(() => readIfThere(path, 'A_FILE'), { name: 'UsageError', message: `A_FILE: ${path} is not UTF-8 text; save it as UTF-8` })
})

t.test('a fault in JSON is told by its place, never by what stands there', async t => {
  const path = join(folder(t), 'a.json')
  for (const [text, place] of [
    ['', 'is empty'], [' \n', 'is empty'], ['{"a": "canary', 'it ends too early'], ['{"a": canary}', 'line 1, column 7'], ['{\n  "a": 1,\n}', 'line 3, column 1'], ['{"a": “canary”}', 'line 1, column 7'], ['{"a": 1} canary', 'line 1, column 10'], ['\ufeff\ufeff{}', 'line 1, column 1']
  ] as const) {
    writeFileSync(path, text)
    try {
      readJsonIfThere(path)
      t.fail(text)
    } catch (error) {
      t.match((error as Error).message, place)
      t.notMatch((error as Error).message, 'canary')
    }
  }
})

t.test('what cannot be read is told in words with the setting that names it', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'file'), '')
  symlinkSync('loop', join(dir, 'loop'))
  const said = (path: string) => {
    try {
      return readIfThere(path, 'API_KEYS_FILE')
    } catch (error) {
      return (error as Error).message
    }
  }
  t.equal(said(join(dir, 'absent')), undefined)
  t.equal(said(dir), `API_KEYS_FILE: ${dir} cannot be read: it is a folder, not a file`)
  t.match(said(join(dir, 'file/inside')), 'a part of its path is a file, not a folder')
  t.match(said(join(dir, 'loop')), 'its links lead in a circle')
  t.match(said(join(dir, 'x'.repeat(300))), 'the name is too long')
})

t.test('a file keeps its mode, a new one is the owner\'s alone, and a link is followed', async t => {
  const dir = folder(t)
  const path = join(dir, 'config/a.json')
  writeAtomically(path, 'one')
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  chmodSync(path, 0o640)
  symlinkSync(path, join(dir, 'link'))
  writeAtomically(join(dir, 'link'), 'two')
  t.equal(readFileSync(path, 'utf8'), 'two')
  t.equal(statSync(path).mode & 0o777, 0o640)
  t.same(readdirSync(dirname(path)), ['a.json'], 'nothing is left beside it')
})

t.test('where nothing can be written the message names the file, the setting and what to do', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'file'), '')
  const said = (path: string) => {
    try {
      writeAtomically(path, 'x', { setting: 'API_KEYS_FILE' })
      return 'written'
    } catch (error) {
      return (error as Error).message
    }
  }
  t.equal(said(dir), `API_KEYS_FILE: ${dir} cannot be written: it is a folder, not a file; let this user write there, or set API_KEYS_FILE to a file in a folder that it may write`)
  t.match(said(join(dir, 'file/inside/a')), /^API_KEYS_FILE: .*cannot be written: a part of its path is a file/)
  t.match(said('/proc/no-such-folder/a'), /^API_KEYS_FILE: .*cannot be written: /)
})

t.test('a file belongs to the same user and group afterwards, or is not written at all', async t => {
  const dir = folder(t)
  const path = join(dir, 'config/a.json')
  if (!root) {
    // What belongs to root cannot be kept so by this user: nothing is written.
    t.throws(() => writeAtomically('/etc/hostname', 'x'), { name: 'UsageError' })
    return
  }
  chownSync(dir, 1234, 2345)
  writeAtomically(path, 'made by root')
  t.match(statSync(path), { uid: 1234, gid: 2345 }, 'a new file is of whoever owns the folder above')
  t.match(statSync(dirname(path)), { uid: 1234, gid: 2345 })
  chownSync(path, 1234, 77)
  chmodSync(path, 0o640)
  writeAtomically(path, 'changed by root')
  t.match(statSync(path), { uid: 1234, gid: 77 })

  mkdirSync(join(dir, 'shared'))
  chmodSync(join(dir, 'shared'), 0o777)
  chmodSync(dir, 0o755)
  const shared = join(dir, 'shared/a.json')
  writeFileSync(shared, 'before')
  process.seteuid!(4321)
  try {
    t.throws(() => writeAtomically(shared, 'after'), { name: 'UsageError', message: /belongs to uid 0, and a change by uid 4321 would take it away from the server. Nothing was changed/ })
  } finally {
    process.seteuid!(0)
  }
  t.equal(readFileSync(shared, 'utf8'), 'before')
  t.same(readdirSync(dirname(shared)), ['a.json'])
})

/** No process has this number. */
const GONE = '4194305'

t.test('the lock of a holder that is gone is broken by one, who looks at it again', async t => {
  const path = join(folder(t), 'a.json')
  const lock = `${path}.lock`
  writeFileSync(lock, GONE)
  t.equal(await withLock(path, () => 'changed'), 'changed')
  t.notOk(existsSync(lock))
  t.notOk(existsSync(`${lock}.break`))

  // Another process is breaking it, and has the lock itself before this one may.
  writeFileSync(lock, GONE)
  writeFileSync(`${lock}.break`, String(process.pid))
  let done = false
  const change = withLock(path, () => { done = true })
  await sleep(100)
  t.equal(done, false)
  rmSync(lock)
  writeFileSync(lock, String(process.pid))
  rmSync(`${lock}.break`)
  await sleep(100)
  t.equal(done, false, 'a lock that was made meanwhile is another one')
  t.equal(readFileSync(lock, 'utf8'), String(process.pid))
  rmSync(lock)
  await change
  t.equal(done, true)

  writeFileSync(lock, GONE)
  writeFileSync(`${lock}.break`, GONE)
  await withLock(path, () => {})
  await until(() => !existsSync(lock) && !existsSync(`${lock}.break`))
})

t.test('a lock that somebody else took over is theirs, and changes at once are made one after the other', async t => {
  const path = join(folder(t), 'a.json')
  const lock = `${path}.lock`
  await withLock(path, () => {
    rmSync(lock)
    writeFileSync(lock, '1')
    utimesSync(lock, 1, 1)
  })
  t.equal(readFileSync(lock, 'utf8'), '1')

  writeFileSync(lock, GONE)
  let inside = 0
  let most = 0
  await Promise.all(Array.from({ length: 20 }, () => withLock(path, async () => {
    most = Math.max(most, ++inside)
    await sleep(1)
    inside--
  })))
  t.equal(most, 1)
  await t.rejects(withLock(path, () => { throw new Error('no') }), { message: 'no' })
  t.same(readdirSync(dirname(path)), [])
})
