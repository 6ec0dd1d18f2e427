#include "text/jinja/template.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/context.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"

namespace weir::text::jinja {
namespace {

std::unexpected<Error> parse_error(Raised raised) {
    raised.error->message = fmt::format("chat template: {}", raised.error->message);
    return std::unexpected(std::move(*raised.error));
}

// What the template says itself is for the client as it is; everything else gets its place.
std::unexpected<Error> render_error(Raised raised, uint32_t line) {
    Error error = std::move(*raised.error);
    if (error.reason != kTemplateRaised) {
        error.message = fmt::format("chat template, line {}: {}", line, error.message);
    }
    return std::unexpected(std::move(error));
}

Outcome<MarkedText> evaluate(Runtime& rt, const Ast& ast, const json::Object& context,
                             const std::vector<TrustedStrings>& trusted) {
    WEIR_TRY_ASSIGN(std::vector<Value> globals, bind_globals(rt, ast, context, trusted));
    return Evaluator(rt, ast, std::move(globals)).render();
}

}  // namespace

std::string Rendered::text() const {
    std::string all;
    for (const Segment& segment : segments) {
        all += segment.text;
    }
    return all;
}

Result<Template> Template::parse(std::string_view source, Mode mode) {
    if (source.size() > kSourceBytesMax) {
        return fail(ErrorCode::TooLarge, "chat template: {} bytes, the limit is {}", source.size(),
                    kSourceBytesMax);
    }
    if (!utf8::is_valid(source)) {
        return fail(ErrorCode::InvalidArgument, "chat template: not valid UTF-8");
    }
    auto ast = std::make_shared<Ast>();
    ast->source = normalize_source(source);
    ast->mode = mode;
    auto tokens = tokenize(ast->source);
    if (!tokens) {
        return parse_error(std::move(tokens).error());
    }
    if (auto parsed = Parser(*std::move(tokens), *ast).parse(); !parsed) {
        return parse_error(std::move(parsed).error());
    }
    return Template(std::move(ast));
}

Result<Rendered> Template::render(const json::Value& context, const RenderOptions& options) const {
    const json::Object* variables = context.if_object();
    if (variables == nullptr) {
        return fail(ErrorCode::InvalidArgument, "chat template: the context is no object");
    }
    Runtime rt(options.limits, options.now, ast_->mode);
    auto text = evaluate(rt, *ast_, *variables, options.trusted);
    if (!text) {
        return render_error(std::move(text).error(), rt.line);
    }
    if (auto room = rt.reserve(text->runs() * sizeof(Segment)); !room) {
        return render_error(std::move(room).error(), rt.line);
    }
    Rendered rendered;
    rendered.segments.reserve(text->runs());
    text->for_each_run(0, text->size(), [&](std::string_view run, Trust trust) {
        rendered.segments.push_back({std::string(run), trust == Trust::Template});
    });
    return rendered;
}

}  // namespace weir::text::jinja
