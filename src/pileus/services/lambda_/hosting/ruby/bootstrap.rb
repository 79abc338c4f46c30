# The runtime client of Ruby functions: talks to the Runtime API, loads the handler, calls it. Needs Ruby's own library.
# frozen_string_literal: true

require 'json'
require 'net/http'

$stdout.sync = true
$stderr.sync = true

module PileusRuntime
  # What a handler is told of its invocation.
  class Context
    attr_reader :aws_request_id, :invoked_function_arn, :deadline_ms, :identity, :client_context

    def initialize(headers)
      @aws_request_id = headers['lambda-runtime-aws-request-id']
      @invoked_function_arn = headers['lambda-runtime-invoked-function-arn']
      @deadline_ms = headers['lambda-runtime-deadline-ms'].to_i
      @identity = parsed(headers['lambda-runtime-cognito-identity'])
      @client_context = parsed(headers['lambda-runtime-client-context'])
    end

    def function_name
      ENV['AWS_LAMBDA_FUNCTION_NAME']
    end

    def function_version
      ENV['AWS_LAMBDA_FUNCTION_VERSION']
    end

    def memory_limit_in_mb
      ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    end

    def log_group_name
      ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    end

    def log_stream_name
      ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    end

    def get_remaining_time_in_millis
      [@deadline_ms - (Time.now.to_f * 1000).to_i, 0].max
    end

    private

    def parsed(text)
      text.nil? ? nil : JSON.parse(text)
    end
  end

  # The Runtime API, over one connection.
  class Api
    PREFIX = '/2018-06-01/runtime/'

    def initialize(address)
      host, port = address.split(':')
      @http = Net::HTTP.new(host, port.to_i)
      # An event may be long in coming.
      @http.read_timeout = nil
      @http.keep_alive_timeout = 86_400
      @http.start
    end

    def next
      @http.get("#{PREFIX}invocation/next")
    end

    def answer(id, body)
      @http.post("#{PREFIX}invocation/#{id}/response", body, 'Content-Type' => 'application/json')
    end

    def fail(path, failure)
      headers = { 'Content-Type' => 'application/json', 'Lambda-Runtime-Function-Error-Type' => failure['errorType'] }
      @http.post("#{PREFIX}#{path}", JSON.generate(failure), headers)
    end
  end

  module_function

  def failure(error, where)
    # Lines of this file are none of the function's.
    trace = (error.backtrace || []).reject { |line| line.start_with?(__FILE__) }
    message = error.message.dup.force_encoding(Encoding::UTF_8).scrub
    { 'errorMessage' => message, 'errorType' => "#{where}<#{error.class}>", 'stackTrace' => trace }
  end

  def log(error, where)
    lines = failure(error, where)
    puts "Error raised from handler method\n#{JSON.generate(lines)}"
  end

  # "file.method" or "file.Module::Class.method".
  def load_handler(name)
    file, *target = name.split('.')
    raise ArgumentError, "Invalid handler #{name}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a class-level method." unless [1, 2].include?(target.size)

    require File.expand_path(file, ENV.fetch('LAMBDA_TASK_ROOT'))
    return ->(event, context) { Kernel.send(target[0], event: event, context: context) } if target.size == 1

    on = Kernel.const_get(target[0])
    ->(event, context) { on.send(target[1], event: event, context: context) }
  end

  def run
    api = Api.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
    begin
      handler = load_handler(ENV.fetch('_HANDLER'))
    rescue Exception => e # whatever it is, AWS hears of it
      log(e, 'Init')
      api.fail('init/error', failure(e, 'Init'))
      exit(-1)
    end
    loop do
      event = api.next
      context = Context.new(event)
      ENV['_X_AMZN_TRACE_ID'] = event['lambda-runtime-trace-id']
      begin
        answer = JSON.generate(handler.call(JSON.parse(event.body), context))
      rescue SystemExit
        raise
      rescue Exception => e # as at AWS, a function's error is whatever it raised
        log(e, 'Function')
        api.fail("invocation/#{context.aws_request_id}/error", failure(e, 'Function'))
      else
        api.answer(context.aws_request_id, answer)
      end
    end
  end
end

PileusRuntime.run
