import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "func-style": ["error", "declaration", { allowArrowFunctions: true }],
      "max-lines": ["error", 400],
      "no-console": "error",
      "no-else-return": "error",
      "no-implicit-coercion": "error",
      "no-unused-vars": ["error", { varsIgnorePattern: "^_$" }],
      "no-use-before-define": "off",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  { files: ["web/**/*.js"], languageOptions: { globals: globals.browser } },
  {
    files: ["web/models/**/*.js", "web/wire.js"],
    rules: {
      "no-restricted-globals": ["error", "document", "window", "location", "history", "localStorage", "fetch", "WebSocket"],
      "no-restricted-imports": ["error", { patterns: ["*/elements/*", "*/rest.js", "*/rest-place.js"] }],
    },
  },
  {
    files: ["web/**/*.js"],
    ignores: ["web/elements/message-row.js"],
    rules: {
      "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }, { property: "insertAdjacentHTML" }],
    },
  },
  {
    files: ["web/app.js"],
    rules: { "prefer-template": "off" },
  },
  { files: ["web/test/**/*.js", "tests/e2e/**/*.js", "eslint.config.js"], languageOptions: { globals: globals.node } },
  { files: ["tests/e2e/**/*.js"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
];
