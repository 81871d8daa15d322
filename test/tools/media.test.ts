import t from 'tap'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { audio, definePrompt, defineResource, defineTool, image, Type, type Definition } from '../../src/tools/index.ts'

const bytes = (text: string) => Buffer.from(text.padEnd(20, '\0'), 'latin1')

t.test('a picture and a sound are made of bytes, and their type is read from them', t => {
  for (const [begins, mimeType] of [['\x89PNG\r\n\x1a\n', 'image/png'], ['\xff\xd8\xff', 'image/jpeg'], ['GIF89a', 'image/gif'], ['RIFF....WEBP', 'image/webp']] as const) {
    t.strictSame(image(bytes(begins)), { type: 'image', data: bytes(begins).toString('base64'), mimeType })
  }
  for (const [begins, mimeType] of [['RIFF....WAVE', 'audio/wav'], ['ID3', 'audio/mpeg'], ['OggS', 'audio/ogg'], ['fLaC', 'audio/flac']] as const) {
    t.match(audio(bytes(begins)), { type: 'audio', mimeType })
  }
  t.match(image(bytes('<svg>'), 'image/svg+xml'), { mimeType: 'image/svg+xml' })
  t.equal(image(bytes('??\x89PNG\r\n\x1a\n').subarray(2)).type, 'image', 'a part of a larger buffer')
  t.throws(() => image(bytes('hello')), /name it as second argument/)
  t.throws(() => image(bytes('OggS')), /name it as second argument/)
  t.throws(() => image(bytes('hello'), 'text/html'), /cannot hold text\/html/)
  t.throws(() => image('/etc/passwd' as never), /takes bytes/)
  t.throws(() => audio(new Uint8Array(5 * 1_048_576), 'audio/wav'), /at most 4194304 bytes/)
  t.end()
})

t.test('meta and icons stand in the lists, and are checked', t => {
  const offer = (...definitions: Definition[]) => buildCatalogue(definitions.map(definition => ({ from: 'tools/a.mjs', definition })), new Set<string>())
  const more = { meta: { ui: { resourceUri: 'ui://a' } }, icons: [{ src: 'https://example.com/a.png', mimeType: 'image/png' }] }
  const listed = { _meta: more.meta, icons: more.icons }
  const tool = (more: object) => defineTool({ name: 'a', description: 'd', input: Type.Object({}), run: () => '', ...more })
  const { tools, resources, prompts } = offer(tool(more), defineResource({ uri: 'note://a', name: 'a', read: () => '', ...more }), definePrompt({ name: 'a', get: () => '', ...more }))
  for (const one of [tools.get('a'), resources.get('note://a'), prompts.get('a')]) t.match(one?.listed, listed)
  t.throws(() => offer(tool({ meta: 'x' })), /tool "a": meta must be an object/)
  for (const icons of ['x', [{ src: 'javascript:alert(1)' }], [{ src: 'http://example.com/a.png' }], [{}], [null]]) t.throws(() => offer(tool({ icons })), /tool "a": icons must be a list/)
  t.throws(() => offer(tool({ meta: { note: 'hid\u200bden' } })), /invisible characters/)
  t.end()
})
