// Validates custom resources against the schemas their projects publish, as packaged on npm.
//
// In: a JSON list of objects on standard input. Out: a JSON list of lists of messages, one list per object.
//
// Two passes, because neither is enough alone. The package's validators know types, enums and limits but, like the API server, let
// unknown fields pass, which is how a misspelt `providr` becomes a policy without a provider. The package's type declarations name
// every field, so the second pass walks each object along its declared type and reports what is not declared. (Handing the objects
// to the compiler as literals would not do: it does not look for unknown fields inside the intersections these declarations use.)
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const PACKAGES = [
  [/(^|\.)istio\.io$/, "@kubernetes-models/istio"],
  [/^gateway\.networking\.k8s\.io$/, "@kubernetes-models/gateway-api"],
  [/^gateway\.envoyproxy\.io$/, "@kubernetes-models/envoy-gateway"],
  [/^cert-manager\.io$/, "@kubernetes-models/cert-manager"],
  [/^monitoring\.coreos\.com$/, "@kubernetes-models/prometheus-operator"],
];
const NO_SCHEMA = "no published schema for";

function moduleOf({ apiVersion, kind }) {
  const [group] = String(apiVersion).split("/");
  const found = PACKAGES.find(([pattern]) => pattern.test(group));
  return found && `${found[1]}/${apiVersion}/${kind}`;
}

async function checkValues(object) {
  if (!moduleOf(object)) return [`${NO_SCHEMA} ${object.apiVersion} ${object.kind}`];
  try {
    const { [object.kind]: Model } = await import(moduleOf(object));
    new Model(object).validate();
    return [];
  } catch (error) {
    return [error.code === "ERR_MODULE_NOT_FOUND" ? `${NO_SCHEMA} ${object.apiVersion} ${object.kind}` : error.message];
  }
}

/** The declared type of each object, from a program of one line per object. */
function declaredTypes(objects) {
  const file = join(dirname(fileURLToPath(import.meta.url)), "declared.virtual.mts");
  const source = objects.map((object, i) => `export type T${i} = import("${moduleOf(object)}").I${object.kind};`).join("\n");
  const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022 };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, ...rest) => (name === file ? ts.createSourceFile(name, source, options.target) : getSourceFile(name, ...rest));
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? source : readFile(name));
  const program = ts.createProgram([file], options, host);
  const [problem] = ts.getPreEmitDiagnostics(program);
  if (problem) throw new Error(ts.flattenDiagnosticMessageText(problem.messageText, " "));
  const checker = program.getTypeChecker();
  return { checker, types: program.getSourceFile(file).statements.map((statement) => checker.getTypeAtLocation(statement)) };
}

function unknownFields(checker, type, value, path) {
  type = checker.getNonNullableType(type);
  if (type.flags & ts.TypeFlags.Any || value === null || typeof value !== "object") return [];
  if (type.isUnion()) {
    // A field is known if one member of the union takes the whole value.
    return type.types.map((member) => unknownFields(checker, member, value, path)).sort((a, b) => a.length - b.length)[0];
  }
  // `x-kubernetes-preserve-unknown-fields` is declared as a type without fields: Envoy checks what is in there (validate.py).
  if (!Array.isArray(value) && !checker.getPropertiesOfType(type).length && !checker.getIndexInfosOfType(type).length) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = Array.isArray(value) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
    const property = !Array.isArray(value) && checker.getPropertyOfType(type, key);
    const declared = property ? checker.getTypeOfSymbol(property) : checker.getIndexTypeOfType(type, Array.isArray(value) ? ts.IndexKind.Number : ts.IndexKind.String);
    return declared ? unknownFields(checker, declared, inner, at) : [`unknown field ${at}`];
  });
}

let input = "";
for await (const chunk of process.stdin) input += chunk;
const objects = JSON.parse(input);
const results = await Promise.all(objects.map(checkValues));
const known = objects.map((_, i) => i).filter((i) => !results[i].some((message) => message.startsWith(NO_SCHEMA)));
const { checker, types } = declaredTypes(known.map((i) => objects[i]));
known.forEach((i, k) => results[i].push(...unknownFields(checker, types[k], objects[i], "")));
console.log(JSON.stringify(results));
