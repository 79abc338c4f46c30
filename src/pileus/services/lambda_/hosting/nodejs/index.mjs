// The runtime client of Node.js functions: talks to the Runtime API, loads the handler, calls it.
//
// AWS's own client (aws-lambda-ric) needs a C++ compiler and builds a whole HTTP library when it is installed; this one
// needs Node.js alone. What functions see is the same: handlers, context, streaming, errors, the lines of the log.
//
// Started as `node index.mjs ahead`, it is there before its function is known: it waits on standard input for
// {"environment", "working_directory", "payload"}.

import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import util from "node:util";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Writable } from "node:stream";

const require = createRequire(import.meta.url);

if (process.argv[2] === "ahead") {
  await warmUp();
  waitForFunction();
}

// What every function makes Node.js do for the first time, done before there is one.
async function warmUp() {
  for (const name of ["http", "https", "crypto", "stream/promises", "timers/promises", "url"]) require(`node:${name}`);
  await import("data:text/javascript,export default 1");
  // A CommonJS module that is no JavaScript costs least.
  require("/var/runtime/warm.json");
  JSON.parse(JSON.stringify({ a: [1, "b", null] }));
  util.format("%s %j", "a", { b: 1 });
  await new Promise((resolve) => {
    // Nobody listens there.
    const socket = net.connect({ host: "127.0.0.1", port: 1, noDelay: true });
    socket.on("error", resolve);
  });
}

function waitForFunction() {
  const said = fs.readFileSync(0, "utf8");
  if (said === "") process.exit(70);
  const { environment, working_directory: folder } = JSON.parse(said);
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, environment);
  // What it reads from there has been read.
  fs.closeSync(0);
  fs.openSync("/dev/null", "r");
  process.chdir(folder);
}

// Errors

const UNPRINTABLE = /\x7F/g;

class ImportModuleError extends Error {}
class HandlerNotFound extends Error {}
class MalformedHandlerName extends Error {}
class UserCodeSyntaxError extends Error {}
class MalformedStreamingHandler extends Error {}
class InvalidStreamingOperation extends Error {}
class CallbackHandlerDeprecated extends Error {}
class UnhandledPromiseRejection extends Error {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}
for (const kind of [
  ImportModuleError,
  HandlerNotFound,
  MalformedHandlerName,
  UserCodeSyntaxError,
  MalformedStreamingHandler,
  InvalidStreamingOperation,
  CallbackHandlerDeprecated,
  UnhandledPromiseRejection,
]) {
  kind.prototype.name = `Runtime.${kind.name}`;
}

function looksLikeError(value) {
  return value && ["name", "message", "stack"].every((each) => typeof value[each] === "string" && value[each]);
}

// What the caller of a function gets of an error.
function toAnswer(error) {
  try {
    if (util.types.isNativeError(error) || looksLikeError(error)) {
      return {
        errorType: error.name?.replace(UNPRINTABLE, "%7F"),
        errorMessage: error.message?.replace(UNPRINTABLE, "%7F"),
        trace: error.stack.replace(UNPRINTABLE, "%7F").split("\n"),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: "handled",
      errorMessage:
        "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack",
    };
  }
}

function asError(value) {
  return value instanceof Error ? value : new Error(value);
}

// What the log gets of an error.
function toLog(error) {
  const own = (_name, value) => {
    if (!(value instanceof Error)) return value;
    const found = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === "string") found.stack = value.stack.split("\n");
    return found;
  };
  try {
    return "\t" + JSON.stringify(error, own);
  } catch {
    return "\t" + JSON.stringify(toAnswer(error));
  }
}

// The log: each message is a frame, so that one of several lines stays one event.

const REQUEST_ID = Symbol.for("aws.lambda.runtime.requestId");
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const TEXT_FRAME = 0xa55a0003;
const JSON_FRAME = 0xa55a0002;

function writeFrame(kind, level, now, text) {
  const message = Buffer.from(text, "utf8");
  const frame = Buffer.allocUnsafe(16 + message.length);
  frame.writeUInt32BE((kind | (LEVELS[level] << 2)) >>> 0, 0);
  frame.writeInt32BE(message.length, 4);
  frame.writeBigInt64BE(BigInt(now.valueOf()) * 1000n, 8);
  message.copy(frame, 16);
  writeAll(frame);
}

function writeAll(data) {
  let offset = 0;
  while (offset < data.length) {
    try {
      offset += fs.writeSync(1, data, offset);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      // The pipe is full: whoever reads it needs a moment.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function logText(level, message, ...more) {
  const now = new Date();
  const line = util.format(message, ...more);
  writeFrame(TEXT_FRAME, level, now, `${now.toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${line}\n`);
}

function logJson(level, ...parts) {
  const now = new Date();
  const record = { timestamp: now.toISOString(), level, requestId: globalThis[REQUEST_ID] };
  const typeOf = (error) => error?.constructor?.name ?? "UnknownError";
  let text;
  if (parts.length <= 1) {
    record.message = parts[0];
    const plain = (_name, value) => {
      if (!(value instanceof Error)) return value;
      const stackTrace = typeof value.stack === "string" ? value.stack.split("\n") : value.stack;
      return { errorType: typeOf(value), errorMessage: value.message, stackTrace, ...value };
    };
    try {
      text = JSON.stringify(record, plain);
    } catch {
      record.message = util.format(parts[0]);
    }
  } else {
    record.message = util.format(...parts);
    const error = parts.find((each) => each instanceof Error);
    if (error) {
      record.errorType = typeOf(error);
      record.errorMessage = error.message;
      record.stackTrace = typeof error.stack === "string" ? error.stack.split("\n") : [];
    }
  }
  writeFrame(JSON_FRAME, level, now, (text ?? JSON.stringify(record)) + "\n");
}

const isJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";

function patchConsole() {
  const log = isJson ? logJson : logText;
  const lowest = LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE;
  for (const level of ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]) {
    console[level.toLowerCase()] = LEVELS[level] >= lowest ? (...parts) => log(level, ...parts) : () => {};
  }
  console.log = console.info;
  console.fatal = (...parts) => log("FATAL", ...parts);
}

function logError(what, error) {
  if (isJson) console.error(asError(error));
  else console.error(what, toLog(asError(error)));
}

// The Runtime API, over one connection; it keeps the process alive only while it waits for an event.

const PREFIX = "/2018-06-01/runtime/";
const [HOST, PORT] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");

class Api {
  #socket = null;
  #waiting = [];
  #received = Buffer.alloc(0);

  #connect() {
    const socket = net.connect({ host: HOST, port: Number(PORT), noDelay: true });
    socket.on("data", (data) => this.#read(data));
    socket.on("error", (error) => this.#lost(socket, error));
    socket.on("close", () => this.#lost(socket, new Error("The Runtime API has closed the connection")));
    this.#socket = socket;
    this.#received = Buffer.alloc(0);
  }

  #lost(socket, error) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #read(data) {
    let received = this.#received.length ? Buffer.concat([this.#received, data]) : data;
    for (;;) {
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) break;
      const [first, ...lines] = received.toString("utf8", 0, end).split("\r\n");
      const headers = {};
      for (const line of lines) {
        const colon = line.indexOf(":");
        headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
      }
      const length = Number(headers["content-length"] ?? 0);
      if (received.length < end + 4 + length) break;
      const body = received.subarray(end + 4, end + 4 + length);
      received = received.subarray(end + 4 + length);
      this.#waiting.shift()?.resolve({ status: Number(first.split(" ")[1]), headers, body });
    }
    this.#received = received;
  }

  request(method, where, body = "", headers = {}) {
    if (this.#socket === null) this.#connect();
    const lines = [`${method} ${PREFIX}${where} HTTP/1.1`, `Host: ${HOST}:${PORT}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    if (method === "POST") lines.push("Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body)}`);
    this.#socket.ref();
    this.#socket.write(lines.join("\r\n") + "\r\n\r\n" + body);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  // From here on, only what the function does itself keeps the process going.
  rest() {
    if (this.#waiting.length === 0) this.#socket?.unref();
  }

  async next() {
    const answer = await this.request("GET", "invocation/next");
    this.rest();
    return { event: answer.body.toString("utf8"), headers: answer.headers };
  }

  answer(id, result) {
    return this.request("POST", `invocation/${encodeURIComponent(id)}/response`, serialized(result));
  }

  fail(id, error) {
    const answer = toAnswer(error);
    return this.request("POST", `invocation/${encodeURIComponent(id)}/error`, serialized(answer), errorHeader(answer));
  }

  failInit(error) {
    const answer = toAnswer(error);
    return this.request("POST", "init/error", serialized(answer), errorHeader(answer));
  }
}

function serialized(value) {
  try {
    return JSON.stringify(value === undefined ? null : value) ?? "null";
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

function errorHeader(answer) {
  const type = String(answer.errorType ?? "").replace(/[^\x20-\x7e]/g, "?");
  return { "Lambda-Runtime-Function-Error-Type": type };
}

// Streamed answers

const TRAILERS = ["Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"];
const HTTP_PRELUDE = "application/vnd.awslambda.http-integration-response";

class ResponseStream extends Writable {
  #id;
  #socket = null;
  #contentType = "application/octet-stream";
  #failure = null;
  _onBeforeFirstWrite;

  constructor(id, highWaterMark) {
    super({ decodeStrings: true, ...(highWaterMark ? { highWaterMark } : {}) });
    this.#id = id;
    this.done = new Promise((resolve) => {
      this.#finished = resolve;
    });
    this.done.catch(() => {});
  }

  #finished;

  setContentType(contentType) {
    if (this.#socket !== null) throw new InvalidStreamingOperation("Cannot set content-type, too late.");
    this.#contentType = contentType;
  }

  // Values are written as JSON, as AWS's client does.
  write(chunk, encoding, callback) {
    const plain = typeof chunk === "string" || Buffer.isBuffer(chunk) || chunk?.constructor === Uint8Array;
    return super.write(plain ? chunk : JSON.stringify(chunk), encoding, callback);
  }

  #begin() {
    if (this.#socket !== null) return;
    const socket = net.connect({ host: HOST, port: Number(PORT), noDelay: true });
    this.#socket = socket;
    let said = "";
    socket.setEncoding("latin1");
    socket.on("data", (data) => {
      said += data;
      if (said.includes("\r\n\r\n")) {
        socket.end();
        this.#finished();
      }
    });
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.#finished());
    socket.write(
      [
        `POST ${PREFIX}invocation/${encodeURIComponent(this.#id)}/response HTTP/1.1`,
        `Host: ${HOST}:${PORT}`,
        "Lambda-Runtime-Function-Response-Mode: streaming",
        `Trailer: ${TRAILERS.join(", ")}`,
        `Content-Type: ${this.#contentType}`,
        "Transfer-Encoding: chunked",
        "",
        "",
      ].join("\r\n"),
    );
    if (typeof this._onBeforeFirstWrite === "function") {
      this._onBeforeFirstWrite((chunk) => this.#chunk(Buffer.from(chunk)));
    }
  }

  #chunk(data, callback) {
    if (data.length === 0) {
      callback?.();
      return;
    }
    this.#socket.cork();
    this.#socket.write(`${data.length.toString(16)}\r\n`);
    this.#socket.write(data);
    this.#socket.write("\r\n", callback);
    this.#socket.uncork();
  }

  _write(chunk, _encoding, callback) {
    this.#begin();
    this.#chunk(chunk, callback);
  }

  _final(callback) {
    this.#begin();
    const trailers = this.#failure ? TRAILERS.map((name, at) => `${name}: ${this.#failure[at]}\r\n`).join("") : "";
    this.#socket.write(`0\r\n${trailers}\r\n`, callback);
  }

  _destroy(error, callback) {
    // Cut off: whoever reads it must not take it for the whole.
    if (!this.writableFinished) this.#socket?.destroy();
    this.#finished();
    callback(error);
  }

  // End it with an error behind what was written.
  fail(error) {
    if (this.writableEnded) return;
    const answer = toAnswer(error);
    const body = Buffer.from(JSON.stringify(answer)).toString("base64");
    this.#failure = [errorHeader(answer)[TRAILERS[0]], body];
    this.end();
  }
}

class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType(HTTP_PRELUDE);
    const said = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(said);
      write(new Uint8Array(8));
    };
    return stream;
  }
}

// The handler

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");

function defineGlobals() {
  const without = process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  if (without === "1" || without === "true") return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = "response";
      if (typeof options?.highWaterMark === "number") handler[HIGH_WATER_MARK] = parseInt(options.highWaterMark);
      return handler;
    },
    HttpResponseStream,
  };
}

async function loadHandler(root, name) {
  if (name.includes("..")) {
    throw new MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const last = path.basename(name);
  const folder = name.substring(0, name.indexOf(last));
  const parts = last.match(/^([^.]*)\.(.*)$/);
  if (!parts) throw new MalformedHandlerName("Bad handler");
  let module;
  try {
    module = await loadModule(root, folder, parts[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserCodeSyntaxError(error);
    if (error?.code === "MODULE_NOT_FOUND") throw new ImportModuleError(error);
    throw error;
  }
  const handler = parts[2].split(".").reduce((found, key) => found && found[key], module);
  if (!handler) throw new HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== "function") throw new HandlerNotFound(`${name} is not a function`);
  return handler;
}

async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  if (fs.existsSync(file) && fs.statSync(file).isFile()) return require(file);
  const isModule = fs.existsSync(`${file}.js`) && isModuleFolder(path.dirname(file));
  if (!isModule && fs.existsSync(`${file}.js`)) return require(`${file}.js`);
  for (const [extension, load] of [
    [".js", imported],
    [".mjs", imported],
    [".cjs", require],
  ]) {
    if (fs.existsSync(file + extension)) return await load(file + extension);
  }
  return require(require.resolve(name, { paths: [root, folder] }));
}

// Whether the nearest package.json above says that .js files are ES modules.
function isModuleFolder(folder) {
  if (folder.endsWith("/node_modules")) return false;
  const file = path.join(folder, "package.json");
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file))?.type === "module";
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder === "/" ? false : isModuleFolder(path.dirname(folder));
}

async function imported(file) {
  await resolveThroughNodePath();
  return await import(pathToFileURL(file));
}

// ES modules of layers are found through NODE_PATH, as on AWS since Node.js 18. Done only where there are any: it starts
// a thread in older versions. Those of the runtime are found at /node_modules.
async function resolveThroughNodePath() {
  const folders = (process.env.NODE_PATH ?? "").split(":").filter((each) => each !== "" && each !== process.cwd());
  const layers = folders.filter((each) => each.endsWith("/node_modules") && each !== "/var/runtime/node_modules");
  const there = layers.filter((each) => fs.existsSync(each));
  if (there.length === 0) return;
  const module = require("node:module");
  const bases = there.map((each) => pathToFileURL(path.join(path.dirname(each), "package.json")).href);
  if (typeof module.registerHooks === "function") {
    module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context);
        } catch (error) {
          if (error.code !== "ERR_MODULE_NOT_FOUND" || /^(?:\.|\/|[a-z]+:)/.test(specifier)) throw error;
          for (const parentURL of bases) {
            try {
              return next(specifier, { ...context, parentURL });
            } catch {
              // The next folder may have it.
            }
          }
          throw error;
        }
      },
    });
  } else if (typeof module.register === "function") {
    const hook = `
      const bases = ${JSON.stringify(bases)};
      export async function resolve(specifier, context, next) {
        try {
          return await next(specifier, context);
        } catch (error) {
          if (error.code !== "ERR_MODULE_NOT_FOUND" || /^(?:\\.|\\/|[a-z]+:)/.test(specifier)) throw error;
          for (const parentURL of bases) {
            try {
              return await next(specifier, { ...context, parentURL });
            } catch {}
          }
          throw error;
        }
      }`;
    module.register("data:text/javascript," + encodeURIComponent(hook));
  }
}

// Invocations

const api = new Api();

// What is done when nothing is left to do: the event loop of the function is empty.
let whenEmpty = () => {};

const onFatal = {
  uncaughtException: (error) => end(api.failInit(error), 129),
  unhandledRejection: (error) => end(api.failInit(error), 128),
};

function end(said, code) {
  const exit = () => process.exit(code);
  said.then(exit, exit);
}

function parsed(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

class Runtime {
  constructor(handler) {
    this.handler = handler;
    const mark = parseInt(handler[HIGH_WATER_MARK]);
    this.highWaterMark = Number.isNaN(mark) ? undefined : mark;
    const streaming = handler[STREAMING];
    if (streaming && streaming !== "response") {
      throw new MalformedStreamingHandler("Only response streaming is supported.");
    }
    this.handleOnce = streaming ? this.handleOnceStreaming : this.handleOnceNonStreaming;
    this.withoutCallbacks = withoutCallbacks();
    if (this.withoutCallbacks && !streaming && handler.length >= 3) {
      throw new CallbackHandlerDeprecated(
        "AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.",
      );
    }
  }

  scheduleIteration() {
    setImmediate(() => {
      this.handleOnce().catch((error) => {
        console.log(`Unexpected Top Level Error: ${error}`);
        onFatal.uncaughtException(error);
      });
    });
  }

  async begin() {
    const { event, headers } = await api.next();
    const id = headers["lambda-runtime-aws-request-id"];
    globalThis[REQUEST_ID] = id;
    onFatal.uncaughtException = (error) => end(api.fail(id, error), 129);
    onFatal.unhandledRejection = (error) => end(api.fail(id, error), 128);
    return { event, headers, id };
  }

  complete(context, headers) {
    const trace = headers["lambda-runtime-trace-id"];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    const deadline = headers["lambda-runtime-deadline-ms"];
    return Object.assign(context, {
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: parsed(headers["lambda-runtime-client-context"], "ClientContext"),
      identity: parsed(headers["lambda-runtime-cognito-identity"], "CognitoIdentity"),
      invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
      awsRequestId: headers["lambda-runtime-aws-request-id"],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    });
  }

  async handleOnceNonStreaming() {
    const { event, headers, id } = await this.begin();
    let finished = false;
    let waits = true;
    const report = (said) => {
      said.then(
        () => this.scheduleIteration(),
        (error) => onFatal.uncaughtException(error),
      );
    };
    const fail = (error) => {
      logError("Invoke Error", error);
      report(api.fail(id, error));
    };
    const answer = (result) => {
      let body;
      try {
        body = api.answer(id, result);
      } catch (error) {
        fail(error);
        return;
      }
      report(body);
    };
    const once = (act) => (...given) => {
      if (finished) return;
      finished = true;
      whenEmpty = () => {};
      act(...given);
    };
    const callback = once((error, result) => {
      if (error !== undefined && error !== null) fail(error);
      else if (waits) whenEmpty = () => setImmediate(() => answer(result));
      else answer(result);
    });
    const done = once((error, result) => {
      if (error !== undefined && error !== null) fail(error);
      else answer(result);
    });
    const context = {
      get callbackWaitsForEmptyEventLoop() {
        return waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waits = value;
      },
      succeed: (result) => done(null, result),
      fail: (error) => done(error === undefined || error === null ? "handled" : error, null),
      done,
    };
    if (this.withoutCallbacks) {
      for (const name of Object.keys(context)) delete context[name];
    }
    // A handler that calls nothing and promises nothing has answered null when nothing is left to do.
    whenEmpty = once(() => answer(null));
    try {
      const result = this.handler(JSON.parse(event), this.complete(context, headers), callback);
      if (typeof result?.then === "function") {
        const succeed = (value) => done(null, value);
        const failed = (error) => done(error === undefined || error === null ? "handled" : error, null);
        result.then(succeed, failed).catch(failed);
      } else if (this.withoutCallbacks) {
        done(null, result);
      }
    } catch (error) {
      callback(error);
    }
  }

  async handleOnceStreaming() {
    const { event, headers, id } = await this.begin();
    const stream = new ResponseStream(id, this.highWaterMark);
    stream.on("error", (error) => console.error("The response stream has failed:", error.message));
    let waits = true;
    const context = {
      get callbackWaitsForEmptyEventLoop() {
        return waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waits = value;
      },
    };
    const next = () => {
      whenEmpty = () => {};
      if (waits) whenEmpty = () => setImmediate(() => this.scheduleIteration());
      else this.scheduleIteration();
    };
    const fail = async (error) => {
      logError("Invoke Error", error);
      stream.fail(error);
      await stream.done;
      next();
    };
    whenEmpty = () => this.scheduleIteration();
    try {
      const promise = this.handler(JSON.parse(event), stream, this.complete(context, headers));
      if (typeof promise?.then !== "function") {
        await fail("Streaming does not support non-async handlers.");
        return;
      }
      if ((await promise) !== undefined) console.warn("Streaming handlers ignore return values.");
      if (!stream.writableEnded && !stream.destroyed) {
        await fail("Response stream is not finished.");
        return;
      }
      await stream.done;
      next();
    } catch (error) {
      await fail(error);
    }
  }
}

function withoutCallbacks() {
  const named = /^AWS_Lambda_nodejs(\d+)\.x$/.exec(process.env.AWS_EXECUTION_ENV ?? "");
  return named !== null && Number(named[1]) >= 24;
}

patchConsole();
process.on("uncaughtException", (error) => {
  logError("Uncaught Exception", error);
  onFatal.uncaughtException(error);
});
process.on("unhandledRejection", (reason, promise) => {
  const error = new UnhandledPromiseRejection(reason, promise);
  logError("Unhandled Promise Rejection", error);
  onFatal.unhandledRejection(error);
});
process.on("beforeExit", () => whenEmpty());
defineGlobals();
// The client's own options are not the function's.
process.argv.splice(2);
try {
  const handler = await loadHandler(process.cwd(), process.env._HANDLER);
  new Runtime(handler).scheduleIteration();
} catch (error) {
  logError("Uncaught Exception", error);
  onFatal.uncaughtException(error);
}
