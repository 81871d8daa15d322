/** What a tool module imports: `import { defineTool, Type } from 'secure-mcp-server'`. */
export { default as Type } from 'typebox'
export { audio, image } from './media.ts'
export {
  ask, defineTool, defineResource, definePrompt, elicit, listRoots, sample, ToolError,
  type Annotations, type CallerInfo, type Change, type Content, type Context, type Definition, type HookedCall,
  type Level, type Outcome, type Prompt, type PromptArgument, type PromptMessage, type Question, type Resource,
  type ResourceContents, type Schema, type Tool, type ToolHook
} from './tool.ts'
