/**
 * Takes out of a text what looks like a credential. Texts are as long as a
 * caller makes them, so each expression here is linear in them: a run of
 * characters is taken whole and then judged, never tried from every place in it.
 */

/** What credentials are spelled with, in runs, and what stands before the host of a URL. */
const CANDIDATES = /[\w-]{8,}(?:\.[\w-]+)*\.?|\/\/(?:[^\s/@"\\]|\\.){1,512}@/g
/** How keys of this server, other `sk-` keys and JSON Web Tokens begin. */
const BEGINNINGS = /mcpk_|\bsk-|\beyJ/
/** A shorter run is a word that begins alike. */
const SHORTEST = 19
const REDACTED = '[redacted]'

/**
 * A text with whatever looks like a credential taken out.
 *
 * @param most characters that are looked at and given back; a credential that the cut parts is taken out, too
 */
export function redact (text: string, most = Infinity): string {
  const cut = text.length > most
  const seen = cut ? text.slice(0, most) : text
  if (!MAY_HOLD_ONE.test(seen)) return seen
  return seen.replace(CANDIDATES, (run, at: number) => {
    if (run.startsWith('//')) return `//${REDACTED}@`
    const start = run.search(BEGINNINGS)
    if (start < 0) return run
    const parted = cut && at + run.length === seen.length
    return run.length - start < SHORTEST && !parted ? run : run.slice(0, start) + REDACTED
  })
}

const MAY_HOLD_ONE = /mcpk_|sk-|eyJ|\/\//
