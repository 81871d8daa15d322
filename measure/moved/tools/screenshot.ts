import { defineTool, image } from 'secure-mcp-server'
import { z } from 'zod'
import { takeScreenshot } from '../parts.ts'

export default defineTool({
  name: 'appium_screenshot',
  description: 'Take a screenshot of the current screen and return it as a PNG image.',
  annotations: { readOnlyHint: false, openWorldHint: false },
  input: z.object({}),
  run: async () => {
    const buffer = await takeScreenshot()
    return { content: [image(buffer), { type: 'text', text: `${buffer.length} bytes` }] }
  }
})
