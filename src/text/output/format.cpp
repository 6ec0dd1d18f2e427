#include "text/output/format.h"

namespace weir::text {

std::vector<std::string_view> OutputFormat::markers() const {
    if (is_harmony) {
        return {"<|start|>", "<|channel|>", "<|constrain|>", "<|message|>",
                "<|end|>",   "<|call|>",    "<|return|>"};
    }
    std::vector<std::string_view> all = {
        reasoning_begin,       reasoning_end,     content_begin,    content_end,
        calls.section_begin,   calls.section_end, calls.call_begin, calls.call_end,
        calls.parameter_begin, calls.value_end,   calls.quote};
    for (const CallFormat::FieldEnd& field : calls.fields) {
        all.push_back(field.end);
    }
    for (const CallFormat::KeyEnd& key : calls.key_ends) {
        all.push_back(key.text);
    }
    std::erase(all, std::string_view());
    return all;
}

}  // namespace weir::text
