// The engine's own program, for machines that only run models: the verbs that read a model, and
// nothing else. It has no dependency beyond the engine rooms, so no sandbox either: measure with
// files that you trust.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cli/bench.h"
#include "cli/embedded_model.h"
#include "cli/exam_commands.h"
#include "cli/run.h"
#include "cli/show.h"

namespace weir::cli {
namespace {

int usage() {
    std::fputs(
        "usage: weir run MODEL [PROMPT] | show MODEL | bench MODEL\n"
        "       weir tokenize|detokenize|logits|generate --model MODEL | template|parse --file "
        "FILE\n"
        "MODEL is a GGUF file, a Hugging Face folder, or weir-tiny.\n",
        stderr);
    return 2;
}

Result<void> act(std::string_view verb, const std::string& model, const std::string& rest,
                 const ModelAccess& access, bool& known) {
    if (verb == "run") {
        return run(access, model, {.prompt = rest});
    }
    if (verb == "show") {
        return show(access, model, OutputForm::Text);
    }
    if (verb == "bench") {
        return bench(access, model, {});
    }
    if (verb == "tokenize") {
        return tokenize(access, model);
    }
    if (verb == "detokenize") {
        return detokenize(access, model);
    }
    if (verb == "template") {
        return render_template(access, model, TemplateMode::Strict);
    }
    if (verb == "parse") {
        return parse_output(access, model);
    }
    if (verb == "logits") {
        return logits(access, model);
    }
    if (verb == "embed") {
        return embed(access, model);
    }
    if (verb == "generate") {
        return generate(access, model);
    }
    known = false;
    return {};
}

int engine_main(int argc, char** argv) {
    const std::string_view option = argc > 2 ? argv[2] : "";
    const int at = option == "--model" || option == "--file" ? 3 : 2;
    if (argc <= at) {
        return usage();
    }
    const ModelAccess access{.enter_sandbox = [] { return Result<void>(); },
                             .embedded = embedded_model()};
    bool known = true;
    const Result<void> done =
        act(argv[1], argv[at], argc > at + 1 ? argv[at + 1] : "", access, known);
    if (!known) {
        return usage();
    }
    if (!done) {
        std::fprintf(stderr, "weir: %s\n", done.error().message.c_str());
        return 1;
    }
    return 0;
}

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) {
    return weir::cli::engine_main(argc, argv);
}
