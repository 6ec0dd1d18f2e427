// weir: one program, one verb a task.

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>

#include "base/log.h"
#include "cli/admin.h"
#include "cli/background.h"
#include "cli/bench.h"
#include "cli/doctor.h"
#include "cli/embedded_model.h"
#include "cli/exam_commands.h"
#include "cli/run.h"
#include "cli/show.h"
#include "server/sandbox.h"
#include "server/serve.h"
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

int report(const Result<void>& result) {
    if (result) {
        return 0;
    }
    std::fprintf(stderr, "weir: %s\n", result.error().message.c_str());
    return kFailed;
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
        "Weir listens on http://{0}:{1} (stop it with: weir stop). Try:\n\n"
        "  curl http://{0}:{1}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        "    -d '{{\"model\": \"{2}\", \"messages\": [{{\"role\": \"user\", \"content\": "
        "\"Hello! Who are you?\"}}]}}'\n\n",
        host, port, model);
}

struct ServeArguments {
    std::string config;
    std::string listen;
    bool background = false;
};

Result<server::Config> config_for(const ServeArguments& arguments,
                                  const std::filesystem::path& home) {
    const std::filesystem::path in_home = home / "weir.toml";
    server::Config config = server::default_config();
    if (!arguments.config.empty()) {
        WEIR_TRY_ASSIGN(config, server::load_config(arguments.config));
    } else if (std::filesystem::exists(in_home)) {
        WEIR_TRY_ASSIGN(config, server::load_config(in_home));
    }
    if (!arguments.listen.empty()) {
        WEIR_TRY_ASSIGN(const server::Config listening,
                        server::parse_config("server.listen = \"" + arguments.listen + "\""));
        config.listen_address = listening.listen_address;
        config.listen_port = listening.listen_port;
    }
    return config;
}

int serve_command(const ServeArguments& arguments) {
    const std::filesystem::path home = server::default_home();
    auto config = config_for(arguments, home);
    if (!config) {
        return report(std::unexpected(config.error()));
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
        serve->add_option("--listen", serve_.listen, "ADDRESS:PORT (default: 127.0.0.1:8080)");
        serve->add_flag("--background", serve_.background, "go on in the background");
        serve->callback([this] {
            action_ = [this] {
                return serve_command(serve_);
            };
        });

        CLI::App* worker = verb("worker", "Serve one model on a Unix socket (started by serve)");
        worker->add_option("--model", worker_.model_path, "GGUF file or Hugging Face folder");
        worker->add_option("--socket", worker_.socket, "socket to listen on");
        worker->add_option("--context-tokens", worker_.context_tokens);
        worker->add_option("--cache-tokens", worker_.cache_tokens);
        worker->add_option("--threads", worker_.threads);
        worker->add_flag("--plan", plan_, "only say how much memory the model takes");
        on(worker, [this] {
            worker_.embedded = embedded_model();
            return plan_ ? server::plan_worker(worker_) : server::run_worker(worker_);
        });
    }

    void add_admin_verbs() {
        on(verb("stop", "Stop the running gateway"), [] { return stop(server::default_home()); });
        on(printing_verb("ps", "Show the workers of the running gateway"),
           [this] { return ps(server::default_home(), form()); });
        on(printing_verb("ls", "List the models that the running gateway answers for"),
           [this] { return ls(server::default_home(), form()); });
        CLI::App* spending = printing_verb("spend", "Show what requests have cost");
        spending->add_option("--days", days_, "only the last so many days");
        on(spending, [this] { return spend(server::default_home(), days_, form()); });
        on(printing_verb("doctor", "Check this machine and the configuration"), [this] {
            const std::filesystem::path home = server::default_home();
            return doctor(home, home / "weir.toml", form());
        });
    }

    CLI::App* model_verb(CLI::App* added) {
        added->add_option("MODEL", model_, "a GGUF file, a Hugging Face folder, or weir-tiny")
            ->required();
        return added;
    }

    void add_model_verbs() {
        CLI::App* talk = model_verb(verb("run", "Talk to a model"));
        talk->add_option("PROMPT", run_.prompt, "one question; without it, a conversation");
        talk->add_option("--system", run_.system, "system prompt");
        talk->add_option("--temperature", run_.temperature);
        talk->add_option("--seed", run_.seed);
        talk->add_option("--max-tokens", run_.tokens_max);
        talk->add_option("--threads", run_.threads);
        on(talk, [this] { return run(model_access(), model_, run_); });

        on(model_verb(printing_verb("show", "Architecture and memory plan of a model")),
           [this] { return show(model_access(), model_, form()); });

        CLI::App* measure =
            model_verb(printing_verb("bench", "Prefill and decode speed of a model"));
        measure->add_option("--threads", bench_.threads);
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

    void add_line_verbs() {
        add_line_verb("tokenize", "--model", "Text to token ids", tokenize);
        add_line_verb("detokenize", "--model", "Token ids to text", detokenize);
        add_line_verb("template", "--file", "Render a chat template", render_template);
        add_line_verb("logits", "--model", "Logits of every position", logits);
        add_line_verb("generate", "--model", "Continue token ids", generate);
    }

    CLI::App& app_;
    std::function<int()> action_;
    bool json_ = false;
    bool plan_ = false;
    uint32_t days_ = 0;
    std::string model_;
    ServeArguments serve_;
    server::WorkerOptions worker_;
    RunOptions run_;
    BenchOptions bench_;
};

int main_without_exceptions(int argc, char** argv) {
    CLI::App app("Weir: one endpoint for the models you host and the models you rent.", "weir");
    const Verbs verbs(app);
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
