RUST_ARCH_DEPENDS:=@(mips||x86_64)
CARGO_PKG_PROFILE:=release
define RustBinPackage
endef
