/**
 * Ends children if this process ends without doing so: SIGKILL, a crash, the
 * kernel short of memory. A small shell holds one end of a pipe, and the names
 * of the groups; when the pipe closes, whoever is left is ended.
 */
import { spawn, type ChildProcess } from 'node:child_process'

/**
 * `read`, `case` and `kill` are of the shell itself, so only `sleep` needs a PATH. The second gives those
 * that end with their input the time to do so.
 */
const SCRIPT = `
groups=
while read -r what group; do
  left=
  for other in $groups; do [ "$other" = "$group" ] || left="$left $other"; done
  groups=$left
  [ "$what" = watch ] && groups="$groups $group"
done
[ -z "$groups" ] && exit
sleep 1
for group in $groups; do kill -s KILL -- "-$group"; done
`

/** One for the process: started with the first child, ended with the last. */
export class Reaper {
  readonly #path: string | undefined
  readonly #groups = new Set<number>()
  #shell: ChildProcess | undefined

  /** @param path PATH of this process */
  constructor (path: string | undefined) {
    this.#path = path
  }

  /** @param group its id, which is that of its first process */
  watch (group: number): void {
    this.#groups.add(group)
    if (this.#shell === undefined) this.#start()
    else this.#tell(`watch ${group}\n`)
  }

  /** Nobody of the group is left. */
  forget (group: number): void {
    if (!this.#groups.delete(group)) return
    this.#tell(`forget ${group}\n`)
    if (this.#groups.size > 0) return
    this.#shell?.stdin?.end()
    this.#shell = undefined
  }

  #start (): void {
    // A session of its own: what ends us by our group or terminal does not end it.
    const shell = spawn('/bin/sh', ['-c', SCRIPT], {
      detached: true, cwd: '/', env: { PATH: this.#path }, stdio: ['pipe', 'ignore', 'ignore']
    })
    this.#shell = shell
    // In an image without a shell the container ends with us, and all in it.
    const gone = () => { if (this.#shell === shell) this.#shell = undefined }
    shell.once('error', gone)
    shell.once('exit', gone)
    shell.stdin.on('error', () => {})
    shell.unref()
    // The pipe must not keep us alive: its handle is a socket.
    if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref()
    for (const group of this.#groups) this.#tell(`watch ${group}\n`)
  }

  #tell (line: string): void {
    this.#shell?.stdin?.write(line)
  }
}
