/**
 * What counts as suspicious: the one description of each pattern, from which
 * search, filter and documents come. Written for an automaton (RE2): an
 * unbounded `*` costs it nothing, a counted `{0,400}` a state each.
 *
 * A pattern is for what an attack looks like, not for what it is made of:
 * people write about `id`, `../README.md` and `eval` all day.
 */
import { RE2JS } from 're2js'
import { UsageError } from '../errors.ts'

/** How much is suspicious. `strict` adds the four patterns of the system this one follows, literally. */
export type InspectionLevel = 'default' | 'strict'

export interface Pattern {
  /** Public: exemptions, answers and the log name it. */
  readonly name: string
  readonly description: string
}

export interface PatternSource extends Pattern {
  /** RE2, letters of either case; `.` is any character. One of them suffices. */
  readonly sources: readonly string[]
  /**
   * What every text that matches has in it, at either level: a native look for it
   * spares most texts the automaton. A test makes texts from the sources and holds them to it.
   */
  readonly needs?: RegExp
  /** Added at level `strict`. */
  readonly strict?: string
  /** Where this matches, too, the text is ordinary; not asked at level `strict`. */
  readonly unless?: string
}

const raw = String.raw

/** Programs that are run by whoever gets to run something. */
const COMMAND = raw`(?:sudo\s+)?(?:/(?:usr/)?s?bin/)?(?:cat|ls|id|whoami|curl|wget|nc|ncat|netcat|bash|sh|zsh|dash|rm|uname|env|printenv|echo|ping|python[23]?|perl|ruby|php|node|sleep|touch|chmod|chown|base64|ifconfig|netstat|ps|kill|dir|type|net\s+user|powershell|cmd(?:\.exe)?|nslookup|dig|telnet|tail|head|find|wall|mkfifo|socat|xxd)`
/** Those that follow an operator at the head of a value. */
const PROGRAM = raw`(?:${COMMAND}|pwd|systeminfo|ipconfig|netsh|net|which|tasklist|hostname|df|du|mount|set|ver|route|arp|iptables|useradd|adduser|passwd|su|reboot|shutdown|tftp|ftp|ssh|scp|certutil|bitsadmin|wmic|lsof|file|awk|sed|xargs|w|who|last|cp|mv|mkdir|tee|crontab|systemctl|service|docker|kubectl|git|npm|vi|more|less|strings|printf|exec|eval|export|cd|ip|ss|lsblk|lscpu|getent|usermod|gcc|start|del|whois|tracert|traceroute)`
/** Those whose name behind `&` and before `;` is a character of HTML: `&copy; 2026`. */
const ENTITY_PROGRAM = raw`(?:copy|reg|top)`
/** Those that hardly ever stand behind an operator for another reason. */
const BOLD = raw`(?:whoami\b|id\s*$|(?:nc|ncat|netcat)\s+-|/(?:usr/)?bin/(?:nc|bash|sh|cat|id|ls|curl|wget)\s+-?\w|bash\s+-i\b|rm\s+-[a-z]*[rf][a-z]*\s+(?:--no-preserve-root\s+)?(?:/(?:\s|\*|$|['"\x60;&|]|(?:etc|home|usr|bin|root|boot|var|opt|srv|lib)/?(?:\s|\*|$))|~/?(?:\s|\*|$)|\*\s*$)|xp_cmdshell)`
/** Files that only an intruder asks for by climbing or by a command. */
const SECRET_FILE = raw`(?:etc[/\\]+(?:passwd|shadow|sudoers|hosts|group|issue|my\.cnf|ssh|nginx|apache2|httpd|crontab|mysql|ssl)|proc[/\\]+(?:self|version|cpuinfo|\d)|root[/\\]|home[/\\]+\w+[/\\]+\.|windows[/\\]+(?:win\.ini|system|repair|panther)|winnt|win\.ini|boot\.ini|system32|web-inf|var[/\\]+(?:log|www|run|lib)|usr[/\\]+local|opt[/\\]|\.ssh|\.aws|\.htpasswd|\.git[/\\]+(?:config|head)|id_rsa|inetpub|apache[/\\]+(?:logs|conf)|php\.ini|httpd\.conf|wp-config\.php|shadow\b|passwd\b|autoexec\.bat)`
/** What may stand between two words of SQL. */
const GAP = raw`(?:\s|/\*[^*]*\*+/|--[^\n]*\n|#[^\n]*\n|\x60|\(|\+)+`
/** White space of SQL. */
const SPACES = raw`(?:\s|/\*[^*]*\*+/)+`
const UNION = raw`\bunion${GAP}(?:(?:all|distinct|distinctrow)${GAP})?select\b`
/** What a value in SQL is ended by, and the operator that goes on. */
const BREAK = raw`(?:['"\x60]\s*\)*|\)|^[\w-]*\s|\b\d+\)*)(?:\s|/\*[^*]*\*+/|\+)*`
const OR = raw`(?:or|and|\|\||&&|xor|div|like|having|where|rlike)\b?`
/**
 * SQL as people write it: it begins as a statement does, and every quote ends. A
 * value that is put into a statement begins as a value does.
 */
const STATEMENT = raw`^(?:\s|\(|--[^\n]*\n|#[^\n]*\n|/\*[^*]*\*+/|\x60{3}(?:sql)?)*(?:select|insert|update|delete|create|alter|drop|with|begin|set|use|grant|revoke|declare|exec|execute|explain|from|merge|truncate|values|comment|call|do|if|while|copy|show|describe|rename|replace|start|commit|go|analyze|vacuum|lock|unload|load|optimize|refresh|msck|repair|add|cache|list|reset|uncache|prepare|deallocate|print|return|function|procedure|trigger|view|table|import|export|put|get|undrop|attach|detach|pragma)\b(?:[^'"\x60]|'[^']*'|"[^"]*"|\x60[^\x60]*\x60)*$`
/** Handlers of events, by the names that HTML knows. */
const EVENT = raw`on(?:abort|activate|after\w+|animation\w+|auxclick|before\w+|begin|blur|bounce|can\w+|change|click|close|context\w+|copy|cuechange|cut|dbl\w+|drag\w*|drop|duration\w+|emptied|end|ended|error|finish|focus\w*|form\w+|fullscreen\w+|gotpointer\w+|hashchange|input|invalid|key\w+|load\w*|lostpointer\w+|message\w*|mouse\w+|online|offline|page\w+|paste|pause|play\w*|pointer\w+|popstate|progress|propertychange|ratechange|readystatechange|repeat|reset|resize|scroll\w*|search|seek\w+|select\w*|show|slotchange|stalled|start|storage|submit|suspend|time\w+|toggle|touch\w+|transition\w+|unhandled\w+|unload|volumechange|waiting|webkit\w+|wheel)`
/** White space and control characters that browsers leave out of a URL's scheme. */
const SCHEME = raw`(?:j[\s\x00-\x1f]*a[\s\x00-\x1f]*v[\s\x00-\x1f]*a|v[\s\x00-\x1f]*b|live)[\s\x00-\x1f]*s[\s\x00-\x1f]*c[\s\x00-\x1f]*r[\s\x00-\x1f]*i[\s\x00-\x1f]*p[\s\x00-\x1f]*t[\s\x00-\x1f]*:`

/** Every pattern that ships, in the order in which they are asked. */
export const PATTERNS: readonly PatternSource[] = [
  {
    name: 'path_traversal',
    description:
      'A path that climbs out of its folder with `../` or `..\\`. In longer text: one that climbs to a file of the system, or far.',
    strict: raw`\.\./`,
    needs: /\.\./,
    sources: [
      // The whole value is a path.
      raw`^\s*(?:[^\s"'<>()\[\]{},;|&*?]*[/\\=:])?\.\.+[;/\\]+[^\s"'<>()\[\]{},|&*]*\s*$`,
      raw`^[^\s"'<>()\[\]{},;|&*]*[/\\]\.\.\s*$`,
      raw`\.\.+[;/\\]+(?:[\w.$%-]+[/\\]+|\.+[;/\\]+)*${SECRET_FILE}`,
      raw`(?:\.\.+[/\\]+){6,}`,
      raw`[?&=]\s*(?:[\w./-]*/)?\.\.[/\\]+\.\.[/\\]`
    ]
  },
  {
    name: 'script_tag',
    description:
      '`<script>`, an event handler inside a tag or behind a quote that ends an attribute, or a `javascript:` URL.',
    strict: raw`<script`,
    needs: /[<=:]/,
    sources: [
      raw`<\s*/?\s*(?:\w+:)?script(?:[^\w-]|$)`,
      raw`<(?:iframe|embed|object|applet|base|frame|frameset|meta)[^<>]*(?:${SCHEME}|data:text/html|srcdoc\s*=|http-equiv\s*=\s*["']?\s*refresh["']?[^<>]*(?:${SCHEME}|data:))`,
      // In a tag; `{name}` and `{() => …}` are JSX.
      raw`<[a-z][^<>]*[\s/"'\x00]${EVENT}\s*=\s*(?:[^{\s]|\{\(*[\w$.]+\)*[(\x60\[]|\{\(*[\w$.]+=[^>=]|\{[^\w$\s(})])`,
      // Behind a quote that ends an attribute.
      raw`["'\x60]\s*/?\s*${EVENT}\s*=\s*["'\x60]?\s*[\w$.]+\s*(?:[(\x60]|=[^=>])`,
      raw`(?:href|src|action|formaction|data|srcdoc|background|poster|xlink:href|to|from|values)\s*=\s*["'\x60]?\s*${SCHEME}`,
      raw`^\s*["'\x60]?\s*${SCHEME}[^\n]*[(=\x60]`,
      raw`(?:\]\(|:\s*url\(|@import)\s*["']?\s*${SCHEME}`,
      raw`<style[^<>]*>[^<]*(?:expression\s*\(|${SCHEME}|@import\s*["'])|style\s*=\s*["']?[^"'<>]*(?:expression\s*\(|${SCHEME}|-moz-binding)`
    ]
  },
  {
    name: 'sql_union_select',
    description: '`UNION SELECT` behind something that is no query of its own.',
    strict: raw`union.*select`,
    needs: /union/i,
    sources: [
      raw`${UNION}${GAP}?(?:[\w@.\x60"'\[\]*:$-]+(?:\([^()]*\))?\s*(?:,|\bfrom\b|;|--|#|/\*|$|\)|\|\|)|null\b|@@|\(|\d|'|"|\*|0x)`,
      raw`(?:['")\d]|^)(?:\s|\))*${UNION}\s+[\w@.]+`,
      // Comments that MySQL executes.
      raw`/\*!\d*\s*union\b|\bunion\W+(?:(?:all|distinct)\W+)?/\*!\d*\s*select\b`
    ],
    unless: raw`${STATEMENT}|(?:^|[\n:\x60.(]|\w\s)\s*select\b(?:[^'";#/*-]|'[^']*'|"[^"]*"|-[^-]|/[^*]|\*[^/])*\bunion\s+(?:all\s+|distinct\s+)?select\b`
  },
  {
    name: 'sql_tautology',
    description:
      'A value that ends early and a condition that is always true, a comment, a delay or a second statement behind it.',
    unless: STATEMENT,
    needs: /['"`();=%,+|#*-]|xp_|true/i,
    sources: [
      // ' OR '1'='1, " or 1=1, 1) or true--, ' or sleep(5)
      raw`['"\x60]\s*\)*(?:\s|/\*[^*]*\*+/|\+)*${OR}(?:\s|/\*[^*]*\*+/|\+|\(|!|~|not\b)*(?:\d+\)*\s*(?:=|<|>|like|is\b|in\b|between)|['"][^'"]{0,40}['"]?\s*\)*\s*(?:=|<|>|\blike\b|\bin\b)\s*\(*(?:['"]|\d|$)|true\b\s*(?:--|#|/\*|$|;)|\d+\s*(?:--|#|/\*|$))`,
      raw`${BREAK}${OR}(?:\s|/\*[^*]*\*+/|\+|\(|not\b)*(?:\d+\s*=\s*\d+|'[^']{0,20}'\s*=\s*'|"[^"]{0,20}"\s*=\s*"|true\s*(?:--|#|$))`,
      raw`${BREAK}(?:;|${OR}|,|\+)(?:\s|/\*[^*]*\*+/|\(|!|not\b|select\b|if\b|case\b|when\b|\d+\s*[=<>]\s*|(?:\w+\s*,\s*))*(?:sleep|pg_sleep|benchmark|extractvalue|updatexml|load_file|dbms_pipe\.receive_message|dbms_lock\.sleep|utl_http\.request|utl_inaddr\.\w+|xmltype|randomblob|exp\s*\(\s*~|waitfor\s+delay|ascii\s*\(\s*substr|substr(?:ing)?\s*\(\s*\(?\s*(?:select|user|version|@@|database))\s*[('"]`,
      // '; DROP TABLE users; --
      raw`(?:['"\x60)]|^[\w-]*|\b\d+|%)\s*;\s*(?:(?:drop|truncate|alter|create)${SPACES}(?:table|database|schema|user|login|function|procedure)\b|delete${SPACES}from|insert${SPACES}into|update\s+\w+\s+set|shutdown\b|exec(?:ute)?\s+(?:\w+\.)*(?:master|xp_|sp_|immediate)|declare\s+@|waitfor\s+delay|select\s+(?:pg_sleep|sleep|benchmark|\*|@@|version|user|load_file)|copy\s+\w+\s+(?:from|to)\b|grant\s+\w+|merge\s+into|set\s+@|backup\s+database)`,
      raw`;\s*(?:drop|truncate)${SPACES}(?:table|database|schema)${SPACES}[\w.\x60"\[\]]+\s*(?:;|--|#|/\*|$)`,
      // admin'--
      raw`^[\w@. -]{0,60}['"]\s*\)*\s*;?\s*(?:--(?:\s|-|\+|$)|#\s*$|/\*\s*$|;%00)`,
      raw`['"]\s*\)*\s+(?:order|group)\s+by\s+\d+\s*(?:--|#|/\*|$|,)|['"]\s*\)*\s+having\s+\d+\s*=\s*\d+|['"]\s+procedure\s+analyse\s*\(|\binto\s+(?:outfile|dumpfile)\s+['"]|['")\d]\s+(?:and|or)\s*\(\s*select\b|['"]\s*\|\|\s*\(\s*select\b`,
      raw`\bwaitfor\s+delay\s*['(]|^[\s'")]*(?:(?:or|and|select)\W+)+(?:pg_)?sleep\s*\(\s*\d+\s*\)|^\s*(?:pg_)?sleep\s*\(\s*\d+\s*\)\s*(?:--|#|=|/\*)|\bbenchmark\s*\(\s*\d+\s*,\s*\w+\s*\(|^\W*\b(?:or|and)\s+\(?['"]?(\w+)['"]?\s*=\s*['"]?\w+['"]?\s*\)?\s*(?:--|#|/\*)|^\s*\W*\s*(?:order|group)\s+by\s+\d+\s*(?:--|#|/\*)`,
      raw`\bexec(?:ute)?\s+(?:master\.)?(?:\w*\.)*xp_\w+|\bor\s+(?:\d+)\s*=\s*\d+\s*(?:--|#|/\*|;|$)`
    ]
  },
  {
    name: 'code_eval',
    description:
      '`eval(…)` of something, `__import__(…)`, `require("child_process")` and the like, `system(…)` of a command.',
    strict: raw`eval\(`,
    needs: /[([\x60]|process\.|!!python|o:\d|powershell|\$_/i,
    sources: [
      raw`(?:^|[^\w.>$-]|(?:window|self|top|parent|this|global|globalThis|builtins?|__builtins__)\s*\.\s*)eval(?:(?:\s|/\*[^*]*\*+/)*\(\s*(?:["'\x60$@]|[a-z_]\w*\s*[.(\[])|\s*\(\s*\w\w+\s*\)|\(\s*(?:[^s)\s]|s[^)])|\s+\([a-z]\))`,
      // The same by another way to call: window["eval"](…), (0,eval)(…), eval?.(…), eval.call(…), eval`…`.
      raw`(?:\[\s*["']|[\w)\]]\[\x60)(?:eval|Function|execScript|execSync|spawnSync)["'\x60]\s*\]\s*(?:\?\.\s*)?[(\x60]|\[\s*["'][a-z]+["']\s*\+\s*["'][a-z]+["']\s*\]\s*(?:\?\.\s*)?[(\x60]|\(\s*\d+\s*,\s*(?:\w+\s*\.\s*)?eval\s*\)\s*(?:\?\.\s*)?[(\x60]|\beval\s*\?\.\s*\(|\beval\s*\.\s*(?:call|apply|bind)\s*\(|\bReflect\s*\.\s*(?:apply|construct)\s*\(\s*(?:\w+\s*\.\s*)?(?:eval|Function)\b|(?:^|[^\w$.\x60>-])(?:eval|Function|setTimeout|setInterval)\x60\s*[\w$]+(?:\.[\w$]+)*\s*\(|\bprocess\s*(?:\?\.\s*)?\[\s*["'\x60](?:mainModule|binding|dlopen)\b|\brequire\s*\x60\s*(?:node:)?child_process`,
      raw`(?:^|[^\w.>$-]|os\.)(?:exec|execfile)\((?:\s*(?:["'\x60]\s*${COMMAND}\b|__import__|compile\s*\(|base64|bytes|open\s*\(|\$_|chr\s*\(|requests|urllib|input\s*\(|["'](?:import|from|print)\b)|\s*[a-z_]\w+\s*\)\s*$)`,
      raw`(?:\b(?:system|shell_exec|passthru|proc_open|pcntl_exec|execSync|spawnSync|os\.popen|subprocess\.\w+|commands\.getoutput|Runtime\.getRuntime\(\)\.exec)|(?:^|[^\w.])popen)\s*\(\s*\[?\s*(?:["'\x60]\s*${COMMAND}\b|\$_(?:get|post|request|cookie|server)|\$\{?cmd|base64_decode|["']/(?:usr/)?bin/)`,
      raw`\b(?:eval|assert|system|exec|passthru|shell_exec|include|require(?:_once)?|create_function)\s*\(?\s*\$_(?:get|post|request|cookie|server|files)\b`,
      raw`__import__\s*\(\s*['"\w]|\bimportlib\.import_module\s*\(\s*['"](?:os|subprocess|socket|pty)\b|\bgetattr\s*\(\s*__`,
      raw`\brequire\s*\(\s*['"\x60](?:node:)?child_process['"\x60]\s*\)\s*(?:\.|\[)|^\s*require\s*\(\s*['"\x60](?:node:)?(?:child_process|fs|vm|net|os)\b|[^=\s]\s*[;,(]\s*require\s*\(\s*['"\x60](?:node:)?(?:child_process|vm)\b|\brequire\s*\(\s*['"\x60](?:node:)?(?:fs|vm)['"\x60]\s*\)\s*\.\s*(?:read|write|unlink|run)\w*\s*\(`,
      raw`process\.(?:mainModule|dlopen)\b|process\.binding\s*\(\s*['"\x60](?:spawn_sync|process_wrap|fs)\b|global\.process\.|\bconstructor\s*\.\s*constructor\s*\(|\bnew\s+Function\s*\(\s*["'\x60]|\bFunction\s*\(\s*(?:"[^"]*"|'[^']*'|\x60[^\x60]*\x60)\s*\)\s*\(|\[\s*["']constructor["']\s*\]\s*\(|\bimport\s*\(\s*['"\x60](?:node:)?child_process['"\x60]\s*\)\s*\.?|\b(?:setTimeout|setInterval)\s*\(\s*["']\s*(?:alert|eval|document|fetch|\w+\.src)\b`,
      raw`\bRuntime\.getRuntime\s*\(\s*\)\s*\.\s*exec|\bProcessBuilder\s*\(\s*(?:new\s+String|["'{\[]\s*["']?${COMMAND})|<\?(?:php\b|=)?[^?]*(?:\$_(?:get|post|request|cookie)|\bsystem\s*\(|\bpassthru\s*\(|\bshell_exec\s*\(|\beval\s*\(|\bexec\s*\()|;\s*phpinfo\s*\(\s*\)|\bphpinfo\s*\(\s*\)\s*;?\s*(?:\?>|$)`,
      raw`\bos\.system\s*\(\s*(?:["'\x60]\s*(?:${COMMAND})\b|[a-z_]\w*\s*\)\s*$)|\bcompile\s*\([^()]*,\s*['"]exec['"]\s*\)|\bpickle\.loads\s*\(\s*b?['"]|!!python/(?:object|name|module)|\bO:\d+:"[^"]+":\d+:\{|\bpowershell(?:\.exe)?\s+(?:-\w+\s+)*-e(?:nc|ncodedcommand)?\s`
    ]
  },
  {
    name: 'command_substitution',
    description: 'A command of the shell put into a value: `$(…)`, backticks, or behind `;`, `|`, `&&` or a line end.',
    needs: /[`$;|&\n\r{<]|\/dev\/|(?:bash|nc|ncat|sh)\s/i,
    sources: [
      // The whole value.
      raw`^\s*[\w.@:/+-]*\x60\s*(?:id|whoami|uname(?:\s+-\w+)?|(?:cat|ls|head|tail)\s+[/~.]\S*|sleep\s+\d+|(?:curl|wget)\s+\S+|ping\s+-[cn]\s.*|(?:nc|ncat)\s.*|touch\s+/\S*|(?:bash|sh|python\d?|perl)\s+-[ce]\s.*|rm\s+-[rf]+\s+[/~*].*|nslookup\s.*)\s*\x60?\s*[\w.@:/+-]*\s*$`,
      raw`^[\w.@:/?&%"'-]*\$\(\s*${COMMAND}\b[^\n]*\)[\w.@:/?&=%"'-]*\s*$`,
      raw`^\s*["')]*\s*(?:[;&]|\|[|&])[;|&\s]*(?:${PROGRAM}(?:[\s;|&<>$'"\\]|$)|${ENTITY_PROGRAM}(?:[\s|&<>$'"\\]|$))|^\s*["')]*\s*\|\s*(?:${PROGRAM}|${ENTITY_PROGRAM})(?:[\s;&<>$'"\\][^|\n]*$|$)`,
      raw`^[\w.:/@?=%+,-]*[\d.@/:=][\w.:/@?=%+,-]*['")]*\s*(?:;|\|\|?|&&?)\s*${COMMAND}(?:[\s;|&<>$'"\\]|$)`,
      raw`^[\w.-]*['")]*\s*(?:;|\|\|?|&&?)\s*(?:(?:cat|ls|tail|head)\s+[-/~.]|id\b\s*[;&|#]*\s*$|whoami\b|(?:curl|wget)\s+(?:-\S+\s+)*\S*(?:https?:|\d+\.\d+)|(?:nc|ncat|ping|sleep|nslookup|bash|sh|python[23]?|perl|ruby|php)\s+[-\d/]|(?:uname|ifconfig|netstat|ps|env|printenv|dir|ls)\s*[;&|#]*\s*$|rm\s+-|chmod\s+[0-7+])`,
      raw`^\s*["')]*\s*[;&|]+\s*\$\(\s*\w|[;|&\x60]\s*/(?:[\w*]*\?[\w?*]*)/(?:[\w*]*\?[\w?*]*)(?:/[\w?*]+)*\s+/`,
      // Anywhere.
      raw`(?:[;|&]|\$\(|\x60)\s*(?:sudo\s+)?${BOLD}|^[^\n]{0,80}(?:\n|\r)\s*(?:(?:/(?:usr)?/?bin/)?(?:id|whoami|uname(?:\s+-a)?)\s*$|/bin/(?:sh|cat|ls|id)\b|rm\s+-[a-z]*[rf][a-z]*\s+(?:-\S+\s+)*["']?[/*])`,
      raw`(?:[;|&\n\r]|\$\(|\x60)\s*(?:sudo\s+)?(?:cat|less|more|tail|head|tac|nl|od|xxd|strings|base64|cp|vi|type)\s+(?:-\S+\s+)*/?(?:etc/(?:passwd|shadow|sudoers|group)|proc/self|root/|\S*\.ssh/|\S*id_rsa|\S*\.aws/cred)`,
      raw`\w\x60\s*(?:id|whoami|uname(?:\s+-\w+)?|cat\s+/\S*|ls\s+-?\S*|sleep\s+\d+|curl\s+\S+|wget\s+\S+)\s*\x60`,
      raw`/dev/(?:tcp|udp)/[\d\w$.]+/\d+|\bbash\s+-i\s*(?:>|<|\d)|\bnc(?:at)?\s+-[a-z]*e\b|\bmkfifo\s+/tmp/\w+\s*;|\b(?:sh|bash)\s+-c\s+["']?(?:id|whoami|curl|wget|nc|bash\s+-i)\b|;\s*(?:id|whoami|uname\s+-a)\s*(?:;|#|$)|\|\s*(?:id\s*(?:;|#|$)|whoami\s*(?:;|#|\||$))|^[^\s|]*\|\s*id\s*\|\s*$|\$\((?:id|whoami)\)[\w.-]*\s*$|\$\{IFS\}|[\w;|]\$IFS\b|\$IFS\$|<\(\s*(?:curl|wget|cat\s+/)|;\s*(?:\{|\()\s*(?:echo|cat|ls|id|curl)\s*,|\{\s*(?:cat|ls|curl|wget|echo|nc|ping),[^{}\s]+\}`,
      raw`[?&]\w+=[\w.-]*(?:\||;|\$\(|\x60)\s*${COMMAND}(?:\s|$|\x60|\)|;)`
    ]
  },
  {
    name: 'null_byte',
    description: 'A NUL character, which ends strings early elsewhere.',
    needs: /\0/,
    sources: [raw`\x00`]
  },
  {
    name: 'xxe',
    description: 'An XML entity or an external document type.',
    needs: /<[!?x]/i,
    sources: [
      raw`<!entity\s|<!doctype[^>\[]*(?:\[|\bsystem\b\s*["'])|<!doctype\s+\w+\s+public\s+["'][^"']*["']\s+["'](?:file|https?://[^w"'][^"']*\.dtd|expect|php|gopher|ftp)|<\?xml-stylesheet\b|<xi:include\b|<!element\s+\w+\s+any|<!attlist\s`
    ]
  },
  {
    name: 'template_injection',
    description:
      'A look-up such as `jndi:…` in braces, or a template (`{{…}}`, `<%…%>`) that calls into the language behind it.',
    needs: /[{%#@$]|<!--|<esi|freemarker|th:/i,
    sources: [
      raw`\$\{\s*jndi\s*:|\$\{\s*\$\{|\$\{\s*(?:lower|upper|::|date|base64|sys|env|java|bundle|ctx)\s*:[^{}]*\$\{|\$\{\s*(?:lower|upper|::)\s*-?:?[^{}]{0,3}\}|\$\{(?:\w*:)+\w*:-[a-z:]\}`,
      raw`\{\{[^{}]*(?:__\w+__|\.constructor\b|\bconfig\s*(?:\.\s*items|\.\s*from|\[|\}\}|\.__)|\bself\s*\.|\blipsum\b|\bcycler\b|\bjoiner\b|\brequest\s*\.\s*(?:application|environ|args|__|\[)|\battr\s*\(|\bpopen\b|\bsystem\b\s*[(,'"|]|\bgetRuntime|\bforName\b|\bexec\b\s*[('"]|\b_self\b|\|\s*(?:filter|map|sort|reduce)\s*\(\s*['"](?:system|exec|passthru)|\brange\.constructor|\bprocess\.|\bglobals\b|#with\s|\blookup\s+\(lookup)`,
      raw`\{\{\s*-?\s*\d+\s*[*+-]\s*['"]?\s*\d+\s*['"]?\s*\}\}|\{%[^%]*(?:__\w+__|\bimport\s+os\b|\bsystem\b|\bpopen\b|\bsource\s*\(|\.constructor)|\{\{\s*['"][^'"{}]*['"]\s*\.\s*(?:__|constructor|class)|\{\{#with\s+["']|\{\{\s*(?:self|config|settings\.SECRET_KEY|dump\(app\))\s*\}\}`,
      raw`[$#*@~]\{[^{}]*(?:\bglobal\.|\bconstructor\b|\brequire\s*\(|\bT\s*\(|getClass|@java|java\.lang|Runtime|ProcessBuilder|\bexec\s*\(|\bsystem\s*\(|new\s+java|freemarker|\bselenium\b|\bapplicationScope\b|\bsessionScope\b|\bprocess\.mainModule)`,
      raw`^[\w.@:/?&=-]*[$#*@~]\{[^{}]*(?:\bprocess\.|\bglobal|\benv\b|\d+\s*[*+-]\s*\d+)[^{}]*\}[\w.@:/?&=-]*\s*$|\$\{\{\s*\d+\s*\*\s*\d+\s*\}\}`,
      raw`<%=?[^%]*(?:\bsystem\b|\beval\b|\bRuntime\b|\bexec\b|\x60|\bFile\.|\bIO\.|\d+\s*\*\s*\d+|\bresponse\.write|\bgetRuntime|\bDir\.|\bENV\b|\bopen\s*\()|<#assign\s|\[#assign\s|#set\s*\(\s*\$\w+\s*=\s*["'][^"']*["']\s*\.class|#set\s*\(\s*\$\w+\s*=\s*\$?(?:class|Runtime)|\$class\.|freemarker\.template\.utility|@\(\s*\d+\s*[*+]\s*\d+\s*\)|\bth:\w+\s*=\s*["'][^"']*T\s*\(|<!--#\s*(?:exec|include|echo|printenv)\b|<esi:include\b`
    ]
  }
]

export const FLAGS = RE2JS.CASE_INSENSITIVE | RE2JS.DOTALL

/** Patterns of the operator's own, as their file holds them. */
const OWN_NAME = /^[a-z][a-z0-9_]{0,63}$/

/**
 * Read an operator's patterns: `[{"name", "description", "pattern"}]`, RE2.
 *
 * @param value the file's content, parsed
 * @throws {UsageError} naming the pattern and the fault
 */
export function readPatterns (value: unknown): PatternSource[] {
  if (!Array.isArray(value)) {
    throw new UsageError('must hold a list: [{"name": "…", "description": "…", "pattern": "…"}]')
  }
  const names = new Set(PATTERNS.map(({ name }) => name))
  return value.map((entry: unknown, i) => {
    const { name, description, pattern, ...rest } = (
      typeof entry === 'object' && entry !== null ? entry : {}
    ) as Record<string, unknown>
    if (typeof name !== 'string' || !OWN_NAME.test(name)) {
      throw new UsageError(`entry ${i + 1}: "name" must be 1 to 64 of a-z 0-9 _, a letter first`)
    }
    if (names.has(name)) throw new UsageError(`entry ${i + 1}: there is already a pattern "${name}"`)
    if (typeof description !== 'string' || description.trim() === '') {
      throw new UsageError(`pattern "${name}" needs a description: whoever is refused reads it`)
    }
    if (typeof pattern !== 'string' || pattern === '') {
      throw new UsageError(`pattern "${name}" needs a "pattern" in RE2 syntax`)
    }
    const [unknown] = Object.keys(rest)
    if (unknown !== undefined) {
      throw new UsageError(`pattern "${name}": unknown member "${unknown}"; there are name, description and pattern`)
    }
    names.add(name)
    let compiled: RE2JS
    try {
      compiled = RE2JS.compile(pattern, FLAGS)
    } catch (error) {
      throw new UsageError(`pattern "${name}" is not RE2: ${(error as Error).message}`)
    }
    if (compiled.test('')) {
      throw new UsageError(`pattern "${name}" matches the empty text, so it would refuse everything`)
    }
    return { name, description, sources: [pattern] }
  })
}
