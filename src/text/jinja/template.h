#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "text/jinja/runtime.h"

namespace weir::text::jinja {

struct Ast;

// A piece of rendered text. Control tokens may be looked for in trusted pieces only, and must lie
// inside one whole: everything else is what somebody sent.
struct Segment {
    std::string text;
    bool trusted = false;  // written by the template's author, or vouched for by the caller

    friend bool operator==(const Segment&, const Segment&) = default;
};

// Neighbours differ in trust; no segment is empty.
struct Rendered {
    std::vector<Segment> segments;

    std::string text() const;  // all of it
};

// Strings of the context that count as the template's own: control tokens such as `bos_token`, and
// words from a closed set that the caller has checked, such as a message's role.
struct TrustedStrings {
    std::string path;                 // "bos_token", "messages.*.role": members, * for any item
    std::vector<std::string> values;  // only these; any if empty
};

struct RenderOptions {
    RenderLimits limits;
    std::chrono::local_seconds now{};  // what strftime_now shows; no zone
    std::vector<TrustedStrings> trusted;
};

// A Jinja2 template as chat models ship it: Jinja 3.1 in an immutable sandbox with trim_blocks,
// lstrip_blocks and loop controls, plus raise_exception, strftime_now, tojson as Python's
// json.dumps, and generation blocks (and what Mode::Lenient adds). Other than there: lists may be
// appended to and popped from (shipped templates do it), integers have 127 bits, and include,
// import, extends, autoescape, random, pprint, urlize, xmlattr, striptags, wordwrap and
// filesizeformat do not exist.
//
// Every character of what is rendered knows whether it stands literally in the template's source.
// That survives whatever the template does to it; what is computed (numbers, tojson, escapes,
// padding) is data.
//
// Threads: immutable; any number may render at once.
class Template {
  public:
    static constexpr size_t kSourceBytesMax = size_t{1} << 20;

    // Errors: InvalidArgument with the line, reason "template_error".
    static Result<Template> parse(std::string_view source, Mode mode = Mode::Strict);

    // `context` is an object: the template's variables. Errors: InvalidArgument with reason
    // "template_raised" (the template refuses these messages), "template_error" or
    // "template_limit". Never recurses or allocates beyond the limits.
    Result<Rendered> render(const json::Value& context, const RenderOptions& options) const;

  private:
    explicit Template(std::shared_ptr<const Ast> ast) : ast_(std::move(ast)) {}

    std::shared_ptr<const Ast> ast_;
};

}  // namespace weir::text::jinja
