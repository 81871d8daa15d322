/** How a server names itself to clients. Everything here is read by models and shown to people. */

/** A picture of the server or of what it offers, as the protocol lists it. */
export interface Icon {
  readonly src: string
  readonly mimeType?: string
}

/** `serverInfo`, in the members of the protocol's Implementation. */
export interface ServerInfo {
  readonly name: string
  readonly version: string
  readonly title?: string
  readonly description?: string
  readonly icons?: readonly Icon[]
}

export interface Identity {
  readonly info: ServerInfo
  /** How a model should use the server as a whole. */
  readonly instructions?: string | undefined
}

const TYPES: Readonly<Record<string, string>> = {
  png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', svg: 'image/svg+xml', webp: 'image/webp', ico: 'image/x-icon'
}

/**
 * Icons out of a list that blanks separate: https URLs and `data:image/…`.
 *
 * @returns undefined if one of them is neither
 */
export function readIcons (text: string): Icon[] | undefined {
  const icons = text.split(/\s+/).filter(src => src !== '').map(readIcon)
  return icons.every(icon => icon !== undefined) ? icons : undefined
}

function readIcon (src: string): Icon | undefined {
  const data = /^data:(image\/[a-z0-9.+-]{1,64});base64,[A-Za-z0-9+/]+=*$/.exec(src)
  if (data !== null) return { src, mimeType: data[1]! }
  if (!src.startsWith('https://') || !URL.canParse(src)) return undefined
  const { pathname, username, password } = new URL(src)
  if (username !== '' || password !== '') return undefined
  const mimeType = TYPES[/\.([a-z]+)$/i.exec(pathname)?.[1]?.toLowerCase() ?? '']
  return mimeType === undefined ? { src } : { src, mimeType }
}

/** A name in the form `reverse.dns/name`, which registries and server cards want. */
export function isReverseDnsName (name: string): boolean {
  return /^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/.test(name)
}
