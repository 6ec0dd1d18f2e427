#include "net/sse.h"

#include <algorithm>

namespace weir::net {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Result<void> SseParser::take(std::string_view bytes) {
    if (bytes.size() > limits_.event_bytes_max - event_bytes_) {
        return std::unexpected(make_error(ErrorCode::UpstreamFailed,
                                          "an event of the stream is over {} bytes",
                                          limits_.event_bytes_max)
                                   .with_reason("sse_event_too_large"));
    }
    event_bytes_ += bytes.size();
    line_ += bytes;
    return {};
}

void SseParser::field(std::string_view name, std::string_view value) {
    has_fields_ = true;
    if (name == "data") {
        if (has_data_) {
            data_ += '\n';
        }
        data_ += value;
        has_data_ = true;
    } else if (name == "event") {
        type_ = value;
    } else if (name == "id" && value.find('\0') == std::string_view::npos) {
        id_ = value;
    }
}

Result<void> SseParser::end_line(const OnEvent& on_event) {
    std::string_view line = line_;
    if (first_line_ && line.starts_with(kByteOrderMark)) {
        line.remove_prefix(kByteOrderMark.size());
    }
    first_line_ = false;
    if (!line.empty()) {
        if (line[0] == ':') {
            event_bytes_ -= line_.size();  // a comment belongs to no event
        } else {
            const size_t colon = std::min(line.find(':'), line.size());
            std::string_view value = line.substr(std::min(colon + 1, line.size()));
            if (value.starts_with(' ')) {
                value.remove_prefix(1);
            }
            field(line.substr(0, colon), value);
        }
        line_.clear();
        return {};
    }
    line_.clear();
    Result<void> taken;
    if (has_data_) {
        taken = on_event(SseEvent{type_, data_, id_});
    }
    type_.clear();
    data_.clear();
    id_.clear();
    event_bytes_ = 0;
    has_fields_ = false;
    has_data_ = false;
    return taken;
}

Result<void> SseParser::feed(std::string_view bytes, const OnEvent& on_event) {
    while (!bytes.empty()) {
        if (skip_lf_) {
            skip_lf_ = false;
            if (bytes[0] == '\n') {
                bytes.remove_prefix(1);
                continue;
            }
        }
        const size_t end = bytes.find_first_of("\r\n");
        if (end == std::string_view::npos) {
            return take(bytes);
        }
        WEIR_TRY(take(bytes.substr(0, end)));
        skip_lf_ = bytes[end] == '\r';
        bytes.remove_prefix(end + 1);
        WEIR_TRY(end_line(on_event));
    }
    return {};
}

void append_sse_data(std::string& out, std::string_view data) {
    while (true) {
        const size_t end = std::min(data.find_first_of("\r\n"), data.size());
        out += "data: ";
        out += data.substr(0, end);
        out += '\n';
        if (end == data.size()) {
            break;
        }
        data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
    }
    out += '\n';
}

void append_sse_event(std::string& out, std::string_view type, std::string_view data) {
    out += "event: ";
    std::ranges::copy_if(type, std::back_inserter(out),
                         [](char c) { return c != '\r' && c != '\n'; });
    out += '\n';
    append_sse_data(out, data);
}

void append_sse_comment(std::string& out, std::string_view text) {
    out += ": ";
    std::ranges::copy_if(text, std::back_inserter(out),
                         [](char c) { return c != '\r' && c != '\n'; });
    out += "\n\n";
}

}  // namespace weir::net
