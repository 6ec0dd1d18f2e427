// weir: one program, one verb a task.

#include <fcntl.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "cli/admin.h"
#include "cli/background.h"
#include "cli/bench.h"
#include "cli/doctor.h"
#include "cli/embedded_model.h"
#include "cli/exam_commands.h"
#include "cli/perplexity.h"
#include "cli/quantize.h"
#include "cli/run.h"
#include "cli/show.h"
#include "cli/spend.h"
#include "server/sandbox.h"
#include "server/serve.h"
#include "server/subprocess.h"
#include "server/worker.h"

namespace weir::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

void log_with_spdlog() {
    const auto logger = spdlog::stderr_color_mt("weir");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    set_log_sink([logger](LogLevel level, std::string_view line) {
        constexpr std::array kLevels = {spdlog::level::debug, spdlog::level::info,
                                        spdlog::level::warn, spdlog::level::err};
        logger->log(kLevels.at(static_cast<size_t>(level)), "{}", line);
    });
}

int report(const Error& error) {
    std::fprintf(stderr, "weir: %s\n", error.message.c_str());
    return kFailed;
}

int report(const Result<void>& result) {
    return result ? 0 : report(result.error());
}

// What the API takes, too. CLI::Range would let NaN pass.
CLI::Validator temperature_range() {
    return {[](std::string& text) {
                float value = 0;
                const bool is_number = CLI::detail::lexical_cast(text, value);
                return is_number && value >= 0 && value <= 2 ? std::string()
                                                             : "must be between 0 and 2";
            },
            "0 to 2"};
}

// CLI11 takes a number that does not fit for the largest that does.
CLI::Validator seed_range() {
    return {[](std::string& text) {
                int64_t value = 0;
                const char* end = text.data() + text.size();
                const auto [stop, error] = std::from_chars(text.data(), end, value);
                return error == std::errc() && stop == end ? std::string()
                                                           : "must be a whole number of 64 bits";
            },
            "a whole number of 64 bits"};
}

CLI::Validator listen_address() {
    return {[](std::string& text) {
                const auto parsed = server::parse_listen(text);
                return parsed ? std::string() : parsed.error().message;
            },
            "ADDRESS:PORT"};
}

template <typename T>
CLI::Range one_to(T max) {
    return {T{1}, max};
}

ModelAccess model_access() {
    return {.enter_sandbox = server::enter_sandbox, .embedded = embedded_model()};
}

std::filesystem::path own_program() {
    return std::filesystem::read_symlink("/proc/self/exe");
}

std::string greeting(const std::string& address, uint16_t port, const std::string& model) {
    const std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
    return fmt::format(
        "Weir listens on http://{0}:{1} (stop it with: {3} stop). Try:\n\n"
        "  curl http://{0}:{1}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        "    -d '{{\"model\": \"{2}\", \"messages\": [{{\"role\": \"user\", \"content\": "
        "\"Hello! Who are you?\"}}]}}'\n\n",
        host, port, model, own_program().string());
}

struct ServeArguments {
    std::optional<std::string> config;
    std::optional<std::string> listen;
    bool background = false;
};

Result<server::Config> config_for(const ServeArguments& arguments,
                                  const std::filesystem::path& home) {
    const std::filesystem::path in_home = home / "weir.toml";
    server::Config config = server::default_config();
    if (arguments.config) {
        WEIR_TRY_ASSIGN(config, server::load_config(*arguments.config));
    } else if (std::filesystem::exists(in_home)) {
        WEIR_TRY_ASSIGN(config, server::load_config(in_home));
    }
    if (arguments.listen) {
        WEIR_TRY_ASSIGN(const server::ListenAddress listen,
                        server::parse_listen(*arguments.listen));
        config.listen_address = listen.address;
        config.listen_port = listen.port;
    }
    WEIR_TRY(server::check_files(config));
    return config;
}

int serve_command(const ServeArguments& arguments) {
    const std::filesystem::path home = server::default_home();
    auto config = config_for(arguments, home);
    if (!config) {
        return report(config.error());
    }
    const std::string model = config->routes.front().model;
    const auto body = [&](const std::function<void(std::string)>& ready) {
        log_with_spdlog();
        return report(server::serve({.config = *config,
                                     .home = home,
                                     .program = own_program(),
                                     .on_ready = [&](const std::string& address, uint16_t port) {
                                         ready(greeting(address, port, model));
                                     }}));
    };
    if (arguments.background) {
        return run_in_background(home / "serve.log", body);
    }
    return body([](const std::string& text) {
        std::fputs(text.c_str(), stdout);
        std::fflush(stdout);
    });
}

// The program's verbs. Each parses its own options into its own struct and leaves what to do in
// `action`.
class Verbs {
  public:
    explicit Verbs(CLI::App& app) : app_(app) {
        app_.require_subcommand(1);
        app_.set_version_flag("--version", "weir " WEIR_VERSION);
        add_server_verbs();
        add_admin_verbs();
        add_model_verbs();
        add_line_verbs();
    }

    int act() const { return action_(); }

  private:
    OutputForm form() const { return json_ ? OutputForm::Json : OutputForm::Text; }

    CLI::App* verb(const std::string& name, const std::string& help) {
        return app_.add_subcommand(name, help);
    }
    CLI::App* printing_verb(const std::string& name, const std::string& help) {
        CLI::App* added = verb(name, help);
        added->add_flag("--json", json_, "print JSON");
        return added;
    }
    template <typename Action>
    void on(CLI::App* parsed, Action action) {
        parsed->callback([this, action] {
            action_ = [action] {
                return report(action());
            };
        });
    }

    void add_server_verbs() {
        CLI::App* serve = verb("serve", "Run the gateway");
        serve->add_option("--config", serve_.config,
                          "configuration file (default: weir.toml in $WEIR_HOME, if there)");
        serve->add_option("--listen", serve_.listen, "default: 127.0.0.1:8080")
            ->check(listen_address());
        serve->add_flag("--background", serve_.background, "go on in the background");
        serve->callback([this] {
            action_ = [this] {
                return serve_command(serve_);
            };
        });

        CLI::App* worker = verb("worker", "Serve one model on a Unix socket (started by serve)");
        worker->add_option("--model", worker_.model_path, "GGUF file or Hugging Face folder");
        worker->add_option("--socket", worker_.socket, "socket to listen on");
        worker->add_option("--name", worker_.name, "what answers and metrics call the model");
        worker->add_option("--context-tokens", worker_.context_tokens)
            ->check(one_to(server::kContextTokensMax));
        worker->add_option("--cache-tokens", worker_.cache_tokens)
            ->check(one_to(server::kCacheTokensMax));
        worker->add_option("--cache-bits", worker_.cache_bits)
            ->check(CLI::IsMember({8u, 16u, 32u}));
        add_threads(worker, worker_.threads);
        worker->add_flag("--plan", plan_, "only say how much memory the model takes");
        worker->add_flag("--read-texts", worker_.reads_texts,
                         "with --plan: look at the tokenizer and the chat template too");
        worker->callback([this] {
            action_ = [this] {
                return worker_command();
            };
        });
    }

    // Whoever started us reads on a descriptor of its own why we failed, and says it to people.
    int worker_command() {
        const bool is_heard = ::fcntl(server::kLineDescriptor, F_GETFD) != -1;
        worker_.embedded = embedded_model();
        const Result<void> done =
            plan_ ? server::plan_worker(worker_) : server::run_worker(worker_);
        return !done && is_heard ? kFailed : report(done);
    }

    void add_admin_verbs() {
        on(printing_verb("stop", "Stop the running gateway"),
           [this] { return stop(server::default_home(), form()); });
        on(printing_verb("ps", "Show the workers of the running gateway"),
           [this] { return ps(server::default_home(), form()); });
        on(printing_verb("ls", "List the models that the running gateway answers for"),
           [this] { return ls(server::default_home(), form()); });
        CLI::App* spending = printing_verb("spend", "Show what requests have cost");
        spending->add_option("--days", days_, "only the last so many days")->check(one_to(36'500));
        on(spending, [this] { return spend(server::default_home(), days_, form()); });
        CLI::App* examine =
            printing_verb("doctor", "Check this machine, the configuration and its models");
        examine->add_option("--config", config_,
                            "configuration file (default: weir.toml in $WEIR_HOME, if there)");
        on(examine, [this] {
            return doctor({.home = server::default_home(),
                           .program = own_program(),
                           .config = config_,
                           .form = form()});
        });
    }

    static void add_threads(CLI::App* added, std::optional<uint32_t>& threads) {
        added->add_option("--threads", threads, "default: one a core")
            ->check(one_to(server::kThreadsMax));
    }

    void add_force(CLI::App* added) {
        added->add_flag("--force", force_, "replace OUT if it is there already");
    }
    Existing existing() const { return force_ ? Existing::Replace : Existing::Keep; }

    CLI::App* model_verb(CLI::App* added) {
        added->add_option("MODEL", model_, "a GGUF file, a Hugging Face folder, or weir-tiny")
            ->required();
        return added;
    }

    void add_model_verbs() {
        CLI::App* talk = model_verb(printing_verb("run", "Talk to a model"));
        talk->add_option("PROMPT", run_.prompt, "one question; without it, a conversation");
        talk->add_option("--system", run_.system, "system prompt");
        talk->add_option("--temperature", run_.temperature)->check(temperature_range());
        talk->add_option("--seed", run_.seed)->check(seed_range());
        talk->add_option("--max-tokens", run_.tokens_max)
            ->check(one_to(std::numeric_limits<int32_t>::max()));
        add_threads(talk, run_.threads);
        on(talk, [this] {
            run_.form = form();
            return run(model_access(), model_, run_);
        });

        on(model_verb(printing_verb("show", "Architecture and memory plan of a model")),
           [this] { return show(model_access(), model_, form()); });

        CLI::App* foretell =
            model_verb(printing_verb("perplexity", "How well a model foretells a text"));
        foretell->add_option("FILE", perplexity_.file, "a UTF-8 text")->required();
        foretell->add_option("--window", perplexity_.window_tokens, "tokens of one window [512]")
            ->check(CLI::Range(4u, 1u << 20));
        foretell->add_option("--cache-bits", perplexity_.cache_bits, "of the KV cache's numbers")
            ->check(CLI::IsMember({8u, 16u, 32u}));
        add_threads(foretell, perplexity_.threads);
        on(foretell, [this] {
            perplexity_.form = form();
            return perplexity(model_access(), model_, perplexity_);
        });

        CLI::App* smaller = verb("quantize", "Write a GGUF file with smaller weights");
        smaller->add_option("IN", quantize_.in, "a GGUF file or a Hugging Face folder")->required();
        smaller->add_option("OUT", quantize_.out, "GGUF file to write")->required();
        smaller->add_option("TYPE", quantize_.type, "Q8_0, Q4_0, Q4_K_M or Q6_K")->required();
        add_threads(smaller, quantize_.threads);
        add_force(smaller);
        on(smaller, [this] {
            quantize_.existing = existing();
            return quantize(model_access(), quantize_);
        });

        CLI::App* other =
            verb("convert", "Write a GGUF file of a Hugging Face folder, or the other way round");
        other->add_option("IN", convert_.in, "a GGUF file or a Hugging Face folder")->required();
        other->add_option("OUT", convert_.out, "the folder or GGUF file to write")->required();
        add_threads(other, convert_.threads);
        add_force(other);
        on(other, [this] {
            convert_.existing = existing();
            return convert(model_access(), convert_);
        });

        CLI::App* measure =
            model_verb(printing_verb("bench", "Prefill and decode speed of a model"));
        add_threads(measure, bench_.threads);
        measure->add_option("--rounds", bench_.rounds)->check(CLI::Range(1, 1000));
        measure->add_option("--prompt-tokens", bench_.prompt_tokens)->check(CLI::Range(1, 4000));
        on(measure, [this] {
            bench_.form = form();
            return bench(model_access(), model_, bench_);
        });
    }

    using LineVerb = Result<void> (*)(const ModelAccess&, const std::string&);
    void add_line_verb(const std::string& name, const std::string& option, const std::string& help,
                       LineVerb action) {
        CLI::App* added = verb(name, help + " (JSON lines in, JSON lines out)");
        added->add_option(option, model_)->required();
        on(added, [this, action] { return action(model_access(), model_); });
    }

    void add_template() {
        CLI::App* added = verb("template", "Render a chat template (JSON lines in and out)");
        added->add_option("--file", model_)->required();
        added->add_flag(
            "--lenient", lenient_,
            "Take what shipped templates ask beyond the reference, as served models do");
        on(added, [this] {
            return render_template(model_access(), model_,
                                   lenient_ ? TemplateMode::Lenient : TemplateMode::Strict);
        });
    }

    void add_line_verbs() {
        add_line_verb("tokenize", "--model", "Text to token ids", tokenize);
        add_line_verb("detokenize", "--model", "Token ids to text", detokenize);
        add_template();
        add_line_verb("parse", "--file", "Read what a model says as a message", parse_output);
        add_line_verb("logits", "--model", "Logits of every position", logits);
        add_line_verb("embed", "--model", "Token ids to a vector", embed);
        add_line_verb("generate", "--model", "Continue token ids", generate);
    }

    CLI::App& app_;
    std::function<int()> action_;
    bool json_ = false;
    bool plan_ = false;
    uint32_t days_ = 0;
    std::optional<std::string> config_;
    std::string model_;
    bool lenient_ = false;
    ServeArguments serve_;
    server::WorkerOptions worker_;
    RunOptions run_;
    BenchOptions bench_;
    PerplexityArguments perplexity_;
    QuantizeOptions quantize_;
    ConvertOptions convert_;
    bool force_ = false;
};

// CLI11 says of an unknown verb only that one is missing. Absent: the first word is fine.
std::optional<std::string> wrong_verb(const CLI::App& app, int argc, char** argv) {
    const std::string_view first = argc > 1 ? argv[1] : "";
    if (first.starts_with('-')) {
        return std::nullopt;
    }
    std::string verbs;
    for (const CLI::App* verb : app.get_subcommands(nullptr)) {
        if (verb->get_name() == first) {
            return std::nullopt;
        }
        verbs += (verbs.empty() ? "" : ", ") + verb->get_name();
    }
    return argc > 1 ? fmt::format("unknown subcommand \"{}\"; there are: {}", first, verbs)
                    : fmt::format("a subcommand is required: {} (weir --help)", verbs);
}

int main_without_exceptions(int argc, char** argv) {
    CLI::App app("Weir: one endpoint for the models you host and the models you rent.", "weir");
    const Verbs verbs(app);
    if (const auto wrong = wrong_verb(app, argc, argv)) {
        std::fprintf(stderr, "weir: %s\n", wrong->c_str());
        return kWrongUsage;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kWrongUsage;
    }
    try {
        return verbs.act();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "weir: %s\n", error.what());
        return kFailed;
    }
}

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) {
    return weir::cli::main_without_exceptions(argc, argv);
}
