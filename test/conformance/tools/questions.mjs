// Tools that ask the client before they answer. The same lines serve both eras.
import { ask, defineTool, elicit, listRoots, sample, ToolError, Type } from 'secure-mcp-server'

const nothing = Type.Object({}, { additionalProperties: false })
const form = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required })
const textQuestion = (text, maxTokens) => sample({ messages: [{ role: 'user', content: { type: 'text', text } }], maxTokens })
const nameForm = elicit('What is your name?', form({ name: { type: 'string' } }))

/** A tool that asks the same questions until every one is answered. */
const asks = (name, description, questions, answer, { input = nothing, state } = {}) => defineTool({
  name,
  description,
  input,
  run (args, { answers, state: returned }) {
    const wanted = typeof questions === 'function' ? questions(args) : questions
    return Object.keys(wanted).every(key => answers[key] !== undefined && answered(wanted[key], answers[key]))
      ? answer(answers, returned)
      : ask(wanted, state)
  }
})

/** Whether an answer has the shape that its question asks for. */
function answered (question, answer) {
  if (typeof answer !== 'object' || answer === null) return false
  if (question.method === 'sampling/createMessage') return answer.content !== undefined
  if (question.method === 'roots/list') return Array.isArray(answer.roots)
  if (answer.action !== 'accept') return typeof answer.action === 'string'
  return question.params.requestedSchema.required?.every(key => answer.content?.[key] !== undefined) ?? true
}

const reply = answer => `action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`

export default [
  asks('test_sampling', 'Asks the model of the client.', ({ prompt }) => ({ answer: textQuestion(prompt, 100) }),
    ({ answer }) => `LLM response: ${answer.content.text}`,
    { input: Type.Object({ prompt: Type.String({ maxLength: 1000, description: 'What to ask.' }) }, { additionalProperties: false }) }),

  asks('test_elicitation', 'Asks the user.', ({ message }) => ({
    answer: elicit(message, form({ username: { type: 'string', description: "User's response" }, email: { type: 'string', description: "User's email address" } }))
  }), ({ answer }) => `User response: ${reply(answer)}`,
  { input: Type.Object({ message: Type.String({ maxLength: 1000, description: 'What to ask.' }) }, { additionalProperties: false }) }),

  asks('test_elicitation_sep1034_defaults', 'Asks with a form that has defaults.', {
    answer: elicit('Please fill in the form', form({
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true }
    }, []))
  }, ({ answer }) => `Elicitation completed: ${reply(answer)}`),

  asks('test_elicitation_sep1330_enums', 'Asks with every form of choice.', {
    answer: elicit('Please choose', form({
      untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
      titledSingle: { type: 'string', oneOf: [{ const: 'value1', title: 'First Option' }, { const: 'value2', title: 'Second Option' }, { const: 'value3', title: 'Third Option' }] },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
      titledMulti: { type: 'array', items: { anyOf: [{ const: 'value1', title: 'First Choice' }, { const: 'value2', title: 'Second Choice' }, { const: 'value3', title: 'Third Choice' }] } }
    }, []))
  }, ({ answer }) => `Elicitation completed: ${reply(answer)}`),

  asks('test_streaming_elicitation', 'Asks the user for a name.', { user_name: nameForm }, ({ user_name: { content } }) => `Hello, ${content.name}!`),

  asks('test_missing_capability', 'Needs a client that can sample.', { answer: textQuestion('Anything', 10) }, () => 'Sampled.'),

  asks('test_input_required_result_elicitation', 'Asks the user for a name.', { user_name: nameForm },
    ({ user_name: { content } }) => `Hello, ${content?.name ?? 'stranger'}!`),

  asks('test_input_required_result_sampling', 'Asks the model for a capital.', { capital_question: textQuestion('What is the capital of France?', 100) },
    ({ capital_question: { content } }) => `The model said: ${content.text}`),

  asks('test_input_required_result_list_roots', 'Asks for the roots.', { client_roots: listRoots() },
    ({ client_roots: { roots } }) => `Roots: ${roots.map(({ uri }) => uri).join(', ')}`),

  defineTool({
    name: 'test_input_required_result_request_state',
    description: 'Gives the client a state to bring back.',
    input: nothing,
    run (_input, { answers, state }) {
      if (answers.confirm === undefined) return ask({ confirm: elicit('Please confirm', form({ ok: { type: 'boolean' } })) }, { asked: 'confirm' })
      if (state?.asked !== 'confirm') throw new ToolError('The state did not come back')
      return 'state-ok'
    }
  }),

  asks('test_input_required_result_multiple_inputs', 'Asks three things at once.',
    { user_name: nameForm, greeting: textQuestion('Generate a greeting', 50), client_roots: listRoots() },
    ({ user_name: { content }, greeting, client_roots: { roots } }) => `${greeting.content.text}, ${content?.name}: ${roots.length} roots`, { state: { round: 1 } }),

  defineTool({
    name: 'test_input_required_result_multi_round',
    description: 'Asks twice, one thing after the other.',
    input: nothing,
    run (_input, { answers, state }) {
      const name = answers.step1?.content?.name ?? state?.name
      if (name === undefined) return ask({ step1: elicit('Step 1: What is your name?', form({ name: { type: 'string' } })) }, { round: 1 })
      const color = answers.step2?.content?.color
      if (color === undefined) return ask({ step2: elicit('Step 2: What is your favorite color?', form({ color: { type: 'string' } })) }, { round: 2, name })
      return `${name} likes ${color}.`
    }
  }),

  asks('test_input_required_result_tampered_state', 'Gives the client a state that it must not alter.',
    { confirm: elicit('Please confirm', form({ ok: { type: 'boolean' } })) }, () => 'The state was not altered.', { state: { secret: 42 } }),

  defineTool({
    name: 'test_input_required_result_capabilities',
    description: 'Asks only what the client can answer.',
    input: nothing,
    run (_input, { answers, clientCapabilities }) {
      const questions = {
        ...(clientCapabilities.elicitation === undefined ? {} : { user_name: nameForm }),
        ...(clientCapabilities.sampling === undefined ? {} : { greeting: textQuestion('Generate a greeting', 50) }),
        ...(clientCapabilities.roots === undefined ? {} : { client_roots: listRoots() })
      }
      const open = Object.keys(questions).filter(key => answers[key] === undefined)
      return open.length > 0 ? ask(questions) : 'Everything was answered.'
    }
  })
]
