import t from 'tap'
import { parseMessage } from '../../src/core/json-message.ts'

t.test('a byte order mark before a message is no part of it, and a second one is no JSON', t => {
  t.same(parseMessage('\ufeff{"id": 1}', 'The body'), { id: 1 })
  t.throws(() => parseMessage('\ufeff\ufeff{}', 'The body'), { code: 'PARSE_ERROR', message: 'The body is not JSON' })
  t.throws(() => parseMessage('\ufeff[]', 'The body'), { code: 'INVALID_REQUEST' }, 'what is refused without it is refused with it')
  t.throws(() => parseMessage('\ufeff{"id": 1, "id": 2}', 'The body'), { code: 'INVALID_REQUEST' })
  t.end()
})
