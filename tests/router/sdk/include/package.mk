PKG_BUILD_DIR:=$(OUT)/build
PKG_INSTALL_DIR:=$(OUT)/install

define BuildPackage
all: $(1)
$(1): prepared
	$(call Package/$(1)/install,$(OUT)/root/$(1))
endef

all:
	@echo profile $(CARGO_PKG_PROFILE)

prepared:
	$(Build/Prepare)
