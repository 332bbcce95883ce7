"""PACS, OfficeHome, TerraIncognita, DomainNet: folders by domain and class."""
