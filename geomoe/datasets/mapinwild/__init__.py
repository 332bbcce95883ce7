"""MapInWild as whole images: is most of a scene a protected area?"""
