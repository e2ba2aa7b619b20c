PKG_BUILD_DIR:=$(OUT)/build
PKG_INSTALL_DIR:=$(OUT)/install

define BuildPackage
all: $(1)
$(1): prepared
	$(call Package/$(1)/install,$(OUT)/root/$(1))
	$$(if $$(value Package/$(1)/postinst),$$(file >$(OUT)/$(1).postinst-pkg,$$(call Package/$(1)/postinst)))
endef

all:
	@echo profile $(CARGO_PKG_PROFILE)
	@echo depends $(abspath $(PKG_FILE_DEPENDS))

prepared:
	$(Build/Prepare)
