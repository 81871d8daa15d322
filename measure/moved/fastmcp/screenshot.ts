// In the shape of appium_screenshot of appium/appium-mcp.
import { imageContent, type FastMCP } from 'fastmcp'
import { takeScreenshot } from '../parts.ts'

export default (server: FastMCP): void => {
  server.addTool({
    name: 'appium_screenshot',
    description: 'Take a screenshot of the current screen and return it as a PNG image.',
    annotations: { readOnlyHint: false, openWorldHint: false },
    execute: async () => {
      const buffer = await takeScreenshot()
      return { content: [await imageContent({ buffer }), { type: 'text', text: `${buffer.length} bytes` }] }
    }
  })
}
