/** Characters that a reader cannot see: zero width, direction marks, tags. Instructions hide in them. */
const INVISIBLE =
  /\u034f|\u17b4|\u17b5|[\u180b-\u180f]|[\ufe00-\ufe0f]|[\u{e0000}-\u{e0fff}]|[\u00ad\u061c\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0]|[\u{1d173}-\u{1d17a}]/u

/**
 * Joiners between pictographs, as in a family or a profession, and the selector that makes a character a
 * pictograph (UTS 51).
 */
const PICTOGRAPH =
  /[\p{Extended_Pictographic}\d#*\p{Emoji_Modifier}][\ufe0e\ufe0f]|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Extended_Pictographic})/gu
/** The three flags that are spelled with tags (UTS 51, RGI). */
const TAGGED_FLAG =
  /\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f}/gu
/** Joiners that shape letters, in the scripts that need them (RFC 5892, appendix A.1 and A.2). */
const SHAPING =
  /(?<=[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Nko}\p{Script=Mandaic}]\p{M}{0,3})\u200c(?=[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Nko}\p{Script=Mandaic}])|(?<=[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u0e3a\u0f84\u1039\u17d2])[\u200c\u200d]/gu

/**
 * Whether a text that a model reads holds characters that its reviewer cannot
 * see. Joiners and selectors pass where the writing needs them.
 */
export function hasHiddenCharacters (text: string): boolean {
  if (!INVISIBLE.test(text)) return false
  return INVISIBLE.test(text.replace(TAGGED_FLAG, '').replace(PICTOGRAPH, '').replace(SHAPING, ''))
}
