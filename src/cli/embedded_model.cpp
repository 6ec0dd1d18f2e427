#include "cli/embedded_model.h"

// The assembler copies the file into the read-only data of the program, where it is mapped and
// paged like any other file.
#ifdef WEIR_EMBEDDED_MODEL
asm(R"(
    .section .rodata
    .balign 64
    .global weir_embedded_model_begin
    .global weir_embedded_model_end
weir_embedded_model_begin:
    .incbin ")" WEIR_EMBEDDED_MODEL R"("
weir_embedded_model_end:
    .byte 0
    .previous
)");
extern "C" const std::byte weir_embedded_model_begin[];
extern "C" const std::byte weir_embedded_model_end[];
#endif

namespace weir::cli {

std::span<const std::byte> embedded_model() {
#ifdef WEIR_EMBEDDED_MODEL
    return {weir_embedded_model_begin, weir_embedded_model_end};
#else
    return {};
#endif
}

}  // namespace weir::cli
