import t from 'tap'
import { Departure } from '../../src/core/departure.ts'

t.test('who listens is told once, and who stopped is not', t => {
  const departure = new Departure()
  const told: string[] = []
  const gone = () => { told.push('gone') }
  const stopped = () => { told.push('stopped') }
  departure.addEventListener('abort', stopped)
  departure.addEventListener('abort', gone)
  departure.removeEventListener('abort', stopped)
  t.equal(departure.aborted, false)
  departure.leave()
  departure.leave()
  t.strictSame(told, ['gone'])
  t.equal(departure.aborted, true)
  t.end()
})

t.test('its signal is the same one, aborted with it or made aborted', t => {
  const departure = new Departure()
  const { signal } = departure
  t.equal(departure.signal, signal)
  departure.leave()
  t.equal(signal.aborted, true)
  const late = new Departure()
  late.leave()
  t.equal(late.signal.aborted, true)
  t.end()
})

t.test('a listener that stops others while it is told confuses nobody', t => {
  const departure = new Departure()
  let told = 0
  const last = () => { told++ }
  departure.addEventListener('abort', () => departure.removeEventListener('abort', last))
  departure.addEventListener('abort', last)
  departure.leave()
  t.equal(told, 1)
  t.end()
})
