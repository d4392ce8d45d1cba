"""Operations of detection networks that need no compiled extension."""
