/**
 * Whether a value is a secret, judged by how it looks and by what it is called: for files that people wrote
 * before they thought of it.
 */

/** How keys and tokens of well-known services begin, JSON Web Tokens, and a password in a URL. */
export const KNOWN_FORMS = new RegExp(
  [
    String.raw`\b(?:sk|rk|pk)[-_][\w-]{16,}`,
    String.raw`\bgh[pousr]_\w{20,}`,
    String.raw`\bgithub_pat_\w{20,}`,
    String.raw`\bglpat-[\w-]{16,}`,
    String.raw`\bxox[a-z]-[\w-]{8,}`,
    String.raw`\bxapp-[\w-]{8,}`,
    String.raw`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`,
    String.raw`\bAIza[\w-]{30,}`,
    String.raw`\beyJ[\w-]{10,}`,
    String.raw`\bmcpk_\w+`,
    String.raw`\bnpm_\w{30,}`,
    String.raw`\bhf_\w{30,}`,
    String.raw`\bntn_\w{30,}`,
    String.raw`\blin_api_\w{16,}`,
    String.raw`\bdckr_pat_[\w-]{16,}`,
    String.raw`\bshpat_\w{16,}`,
    String.raw`\bwhsec_\w{16,}`,
    String.raw`\bATATT[\w-]{16,}`,
    String.raw`\bSG\.[\w-]{16,}`,
    String.raw`-----BEGIN [A-Z ]*PRIVATE KEY`,
    String.raw`://[^\s/@:]*:[^\s/@]+@`
  ].join('|')
)

/** Names of variables, headers and options whose values are secrets. */
const CALLED = /token|key|secret|passw|pwd|auth|cookie|dsn|credential|(?:^|[^a-z])pat(?:$|[^a-z])/i

/** Switches, small numbers and words: no secrets, whatever they are called. */
const PLAIN = /^(?:true|false|yes|no|on|off|none|null|default|basic|bearer|oauth2?|\d{0,5})$/i

const LONG = 20
/**
 * Bits a character from which a text is taken for a random one: sentences and paths have fewer, 20 random
 * letters and digits more.
 */
const RANDOM_BITS = 3.5

/** A known form of credential stands in it. */
export function hasSecretForm (value: string): boolean {
  return KNOWN_FORMS.test(value)
}

/**
 * Whether a value had better be kept encrypted.
 *
 * @param name of the variable, header or option; '' where there is none
 */
export function looksSecret (name: string, value: string): boolean {
  if (PLAIN.test(value)) return false
  return CALLED.test(name) || hasSecretForm(value) || isRandom(value)
}

/** One word of letters and digits, long and without order. Paths, URLs and sentences are none. */
function isRandom (value: string): boolean {
  if (value.length < LONG || !/^[\w+/=.~:-]+$/.test(value)) return false
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || /^[.~]?\//.test(value) || /\/[a-z]{2,}\//i.test(value)) return false
  return /\d/.test(value) && /[a-z]/i.test(value) && entropyOf(value) >= RANDOM_BITS
}

/** Bits a character (Shannon). */
function entropyOf (text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= count / text.length * Math.log2(count / text.length)
  return bits
}
